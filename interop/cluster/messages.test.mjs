// Messages from one node to the clients of another, for each adapter and each mix of nodes, in both directions.

import { describe } from 'node:test';

import { exchange } from '../lib/messages.mjs';
import { MIXES } from '../lib/mixes.mjs';

// The tests mostly wait, so the mixes run in parallel, each with its own engine.
describe('messages', { concurrency: 3 }, () => {
  MIXES.forEach((mix) => exchange(mix));
});
