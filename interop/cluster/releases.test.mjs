// Nodes of ours beside older releases of Node's packages: every minor version of its adapters and of its server.

import { describe } from 'node:test';

import { exchange } from '../lib/messages.mjs';
import { OLDER } from '../lib/mixes.mjs';

// The tests mostly wait for timeouts, so the mixes run in parallel.
describe('older releases', { concurrency: 3 }, () => {
  OLDER.forEach((mix) => exchange(mix));
});
