// Messages between our nodes and Node's on a Redis Cluster of three masters. Node's use either of its Redis clients.

import { after, before, describe } from 'node:test';

import { engine } from '../lib/cluster.mjs';
import { exchange } from '../lib/messages.mjs';
import { CLUSTERED } from '../lib/mixes.mjs';

// The tests mostly wait, so the mixes run in parallel.
describe('a Redis Cluster', { concurrency: 3 }, () => {
  let bus;
  before(async () => {
    bus = await engine('redis-cluster');
  });
  after(() => bus?.stop());

  CLUSTERED.forEach((mix) => exchange(mix, () => bus));
});
