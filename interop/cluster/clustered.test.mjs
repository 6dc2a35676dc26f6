// What nodes say to each other on a Redis Cluster of three masters, ours beside Node's with either of its clients of Redis.

import { after, before, describe } from 'node:test';

import { engine } from '../lib/cluster.mjs';
import { exchange } from '../lib/messages.mjs';
import { CLUSTERED } from '../lib/mixes.mjs';

// Most of it is waiting for the last word.
describe('a Redis Cluster', { concurrency: 3 }, () => {
  let bus;
  before(async () => {
    bus = await engine('redis-cluster');
  });
  after(() => bus?.stop());

  CLUSTERED.forEach((mix) => exchange(mix, () => bus));
});
