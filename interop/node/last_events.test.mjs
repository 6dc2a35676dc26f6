// The public JavaScript client receives each event that a server emits right before it ends a socket, a connection or itself, on each
// transport. Node's server passes the tests of sockets and connections too. When Node's server is closed, it discards events that polling
// clients have not fetched; this server does not.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { Server } from 'socket.io';

import { client, closeAll, event, upgraded } from '../lib/client.mjs';
import { program, start } from '../lib/server.mjs';

const PROGRAM = program('FEATURES_SERVER');
const EVENTS = 30;
const ALL = Array.from({ length: EVENTS }, (_, n) => n);

const TRANSPORTS = {
  polling: { transports: ['polling'] },
  websocket: { transports: ['websocket'] },
  'an upgraded connection': {},
};

const OF_A_SOCKET = [
  'disconnect',
  'disconnect the connection',
  'disconnect sockets',
  "disconnect sockets' connections",
  'answer',
];
const OF_THE_SERVER = ['close the namespace', 'close the server', 'drain'];

/** The namespace `/ends` of the features server, on Node's. */
async function nodes() {
  const http = createServer();
  const io = new Server(http);
  const namespace = io.of('/ends');
  const finish = (socket) => {
    const { how, events, bytes } = socket.handshake.auth;
    for (let n = 0; n < events; n += 1) socket.emit('last', n, 'x'.repeat(bytes));
    if (how === 'disconnect') socket.disconnect();
    if (how === 'disconnect the connection') socket.disconnect(true);
    if (how === 'disconnect sockets') namespace.in(socket.id).disconnectSockets();
    if (how === "disconnect sockets' connections") namespace.in(socket.id).disconnectSockets(true);
  };
  namespace.use((socket, next) => {
    if (socket.handshake.auth.how !== 'refuse and close') return next();
    next(new Error('refused'));
    return socket.disconnect(true);
  });
  namespace.on('connection', (socket) => {
    if (socket.handshake.auth.at_once) finish(socket);
    socket.on('end', (answer) => {
      finish(socket);
      if (socket.handshake.auth.how !== 'answer') return;
      answer('answered');
      socket.disconnect(true);
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return { url: `http://127.0.0.1:${http.address().port}`, stop: () => io.close() };
}

/** The events that a client receives until its disconnection, and the reason of the disconnection. */
async function received(server, transport, how, atOnce, bytes = 1) {
  const auth = { how, events: EVENTS, bytes, at_once: atOnce };
  const options = { namespace: '/ends', auth, reconnection: false, ...TRANSPORTS[transport] };
  const socket = client(server, options);
  const seen = [];
  socket.on('last', (n, text) => seen.push(text.length === bytes ? n : `${n} of another size`));
  const ended = event(socket, 'disconnect');
  if (!atOnce) {
    await event(socket, 'connect');
    if (transport === 'an upgraded connection') await upgraded(socket);
    socket.emit('end', (answer) => seen.push(answer));
  }
  const [reason] = await ended;
  return { seen, reason };
}

for (const transport of Object.keys(TRANSPORTS)) {
  describe(`over ${transport}`, () => {
    let node;
    let ours;
    before(async () => {
      [node, ours] = await Promise.all([nodes(), start(PROGRAM)]);
    });
    after(async () => {
      await Promise.all([node?.stop(), ours?.stop()]);
    });
    afterEach(closeAll);

    for (const how of OF_A_SOCKET) {
      for (const atOnce of how === 'answer' ? [false] : [true, false]) {
        const when = atOnce ? 'as soon as it is connected' : 'later';
        test(`all events before "${how}" arrive, ${when}`, async () => {
          const expected = how === 'answer' ? [...ALL, 'answered'] : ALL;
          for (const server of [node, ours]) {
            const { seen, reason } = await received(server, transport, how, atOnce);
            assert.deepEqual(seen, expected);
            assert.equal(reason, 'io server disconnect');
          }
        });
      }
    }

    // Larger than one polling response and one buffer of the system.
    test('all large events before the connection is closed arrive', async () => {
      for (const server of [node, ours]) {
        const { seen } = await received(server, transport, 'disconnect the connection', false, 100_000);
        assert.deepEqual(seen, ALL);
      }
    });

    test('a refusal arrives before its connection is closed', async () => {
      const auth = { how: 'refuse and close', events: 0, bytes: 0, at_once: false };
      const options = { namespace: '/ends', auth, reconnection: false, ...TRANSPORTS[transport] };
      for (const server of [node, ours]) {
        const [error] = await event(client(server, options), 'connect_error');
        assert.equal(error.message, 'refused');
      }
    });
  });

  for (const how of OF_THE_SERVER) {
    for (const atOnce of [true, false]) {
      const when = atOnce ? 'as soon as a client is connected' : 'later';
      test(`all events before "${how}" arrive over ${transport}, ${when}`, async () => {
        const ours = await start(PROGRAM);
        try {
          const { seen } = await received(ours, transport, how, atOnce);
          assert.deepEqual(seen, ALL);
        } finally {
          closeAll();
          await ours.stop();
        }
      });
    }
  }
}
