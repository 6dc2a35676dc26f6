// A node that is killed while its clients receive messages costs nothing if sessions are crash-safe.
// `cargo xtask rehearse` has more cases.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { rehearse } from '../lib/rehearsal.mjs';

const ENGINES = [['redis-streams', 'redis', 'node'], ['mongodb', 'mongodb', 'node'], ['nats', 'nats-jetstream', 'rust']];

for (const [adapter, kind, receiver] of ENGINES) {
  test(`three killed nodes lose nothing, ${adapter}, clients of ${receiver}`, async () => {
    const { lost, twice, fresh, recovered } = await rehearse({
      adapter, kind, from: 'rust', to: 'rust', signal: 'SIGKILL', receiver, count: 9, rate: 100, pause: 500,
    });
    assert.deepEqual({ lost, twice, fresh }, { lost: 0, twice: 0, fresh: 0 });
    assert.ok(recovered >= 9, `${recovered} recovered`);
  });
}
