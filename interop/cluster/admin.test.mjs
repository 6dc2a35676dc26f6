// The Admin UI in a cluster of our nodes and Node's: a page that is connected to one node sees and reaches all.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { closeAll } from '../lib/client.mjs';
import { engine, engineOf, eventually, member, node, prefix, together } from '../lib/cluster.mjs';

const PAIRS = [
  ['rust', 'node'],
  ['node', 'rust'],
  ['rust', 'rust'],
];

for (const adapter of ['redis', 'redis-streams', 'postgres']) {
  describe(adapter, () => {
    let running;
    before(async () => (running = await engine(engineOf(adapter))));
    after(() => running.stop());

    for (const [here, there] of PAIRS) {
      describe(`the page at ${here}, a client at ${there}`, () => {
        let nodes;
        before(async () => {
          const env = { PREFIX: prefix(), ADMIN: '1' };
          nodes = [await node(here, adapter, running, { ...env, NAME: 'here' }), await node(there, adapter, running, { ...env, NAME: 'there' })];
        });
        afterEach(closeAll);
        after(() => Promise.all(nodes.map((server) => server.stop())));

        const heard = (page, name, fits) =>
          eventually(() => page.heard.find(([event, ...args]) => event === name && fits(...args)), `${name} is received`);

        test('the page sees sockets, servers and events of both nodes', async () => {
          const before = await member(nodes[1]);
          // A page asks for all sockets once, when it connects. Its node must know the other by then.
          await together(await member(nodes[0]), before);
          const page = await member(nodes[0], { namespace: '/admin' });
          await heard(page, 'all_sockets', (sockets) => {
            const one = sockets.find(({ id }) => id === before.id);
            if (one) assert.deepEqual([one.transport, one.clientId.length, one.nsp], ['websocket', 12, '/']);
            return one;
          });
          const later = await member(nodes[1]);
          const { id } = later;
          await heard(page, 'socket_connected', (socket) => socket.id === id && socket.transport === 'websocket');
          for (const hosts of [1, 2]) await eventually(() => serverIds(page).size >= hosts, `${hosts} servers report`);
          later.disconnect();
          await heard(page, 'socket_disconnected', (nsp, who) => who === id);
        });

        test('the page acts on the other node', async () => {
          const one = await member(nodes[1]);
          const page = await member(nodes[0], { namespace: '/admin' });
          page.emit('join', '/', 'vip', one.id);
          await heard(page, 'room_joined', (nsp, room, id) => room === 'vip' && id === one.id);
          page.emit('emit', '/', 'vip', 'hello', 'vips');
          await heard(one, 'hello', (value) => value === 'vips');
          const gone = new Promise((resolve) => one.once('disconnect', resolve));
          page.emit('_disconnect', '/', false, 'vip');
          assert.equal(await gone, 'io server disconnect');
        });
      });
    }
  });
}

const serverIds = (page) => new Set(page.heard.filter(([event]) => event === 'server_stats').map(([, stats]) => stats.serverId));
