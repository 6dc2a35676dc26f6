// Dynamic namespaces, middlewares, listeners, data and rate limits, with the public clients of every version.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { io as v4 } from 'socket.io-client';
import v2 from 'socket.io-client-v2';
import { io as v3 } from 'socket.io-client-v3';

import { client, closeAll, connected, event, upgraded } from '../lib/client.mjs';
import { program, start } from '../lib/server.mjs';

const PROGRAM = program('FEATURES_SERVER');

let server;
before(async () => {
  server = await start(PROGRAM);
});
after(() => server?.stop());
afterEach(closeAll);

/** The ack of an event, with a client of any version. */
const ask = (socket, ...args) => new Promise((resolve) => socket.emit(...args, resolve));

for (const [version, io] of Object.entries({ v2, v3, v4 })) {
  /** A v2 client sends the credentials of a namespace as a query, and reports a refusal as `error`. */
  const legacy = version === 'v2';
  const at = (namespace, options = {}) => client(server, { io, namespace, ...options });

  describe(`Socket.IO client ${version}`, () => {
    test('a pattern passes its parameters', async () => {
      assert.deepEqual(await event(at('/orders/7'), 'order'), ['7']);
      assert.deepEqual(await event(at('/orders/x-8'), 'order'), ['x-8']);
    });

    test('an event of a parent namespace reaches every child that its expression matches', async () => {
      const [one, two] = [at('/dynamic-1'), at('/dynamic-22')];
      await Promise.all([event(one, 'connect'), event(two, 'connect')]);
      const both = Promise.all([event(one, 'to-all'), event(two, 'to-all')]);
      one.emit('to-all', 'hello');
      assert.deepEqual(await both, [['hello'], ['hello']]);
    });

    test('a function accepts a namespace by its credentials', async () => {
      const enter = (token) =>
        legacy ? at(`/team-${token}?token=${token}`) : at(`/team-${token}`, { auth: { token } });
      await event(enter('secret'), 'connect');
      const [error] = await event(enter('wrong'), legacy ? 'error' : 'connect_error');
      assert.equal(error.message, 'Invalid namespace');
    });

    test('a middleware refuses a connection with message and data', async () => {
      const [error] = await event(at('/refuses'), legacy ? 'error' : 'connect_error');
      if (legacy) assert.deepEqual(error, { code: 401 });
      else assert.deepEqual([error.message, error.data], ['not authorized', { code: 401 }]);
    });

    test('a middleware of a socket refuses events and changes events', async () => {
      const socket = at('/guarded');
      await event(socket, 'connect');
      assert.deepEqual(await ask(socket, 'forbidden', 'X'), { error: 'not for you' });
      assert.equal(await ask(socket, 'whisper', 'HELLO'), 'hello');
      assert.equal(await ask(socket, 'say', 'HELLO'), 'HELLO');
    });

    test('listeners run once, see all events, and see outgoing events', async () => {
      const socket = at('/listeners');
      await event(socket, 'connect');
      const [seen, answer] = [event(socket, 'any'), ask(socket, 'hello')];
      assert.deepEqual([await seen, await answer], [['hello'], 'once']);
      const again = event(socket, 'any');
      socket.emit('hello', () => assert.fail('it ran twice'));
      assert.deepEqual(await again, ['hello']);
      assert.equal(await ask(socket, 'told'), 2);
    });

    test('a disconnecting socket still has its rooms', async () => {
      const [leaving, staying] = [at('/listeners'), at('/listeners')];
      await Promise.all([event(leaving, 'connect'), event(staying, 'connect')]);
      // A v2 client derives its id from that of the session. The server sends one to the others.
      const { id } = leaving;
      const left = event(staying, 'left');
      leaving.disconnect();
      const [rooms, reason] = await left;
      assert.deepEqual([rooms.length, rooms[1]], [2, 'room']);
      if (!legacy) assert.equal(rooms[0], id);
      assert.ok(['client namespace disconnect', 'transport close'].includes(reason), reason);
    });

    test('data and handshake are readable', async () => {
      const options = { extraHeaders: { 'x-agent': version, origin: 'http://elsewhere' }, query: { from: 'test' } };
      const socket = await connected(server, { io, ...options });
      await upgraded(socket);
      assert.equal((await ask(socket, 'get')) ?? null, null);
      socket.emit('set', { name: 'Ada', list: [1] });
      assert.deepEqual(await ask(socket, 'get'), { name: 'Ada', list: [1] });
      assert.deepEqual(await ask(socket, 'handshake'), {
        agent: version,
        query: true,
        address: '127.0.0.1',
        xdomain: true,
        transport: 'websocket',
        upgraded: true,
      });
    });

    test('closing a namespace disconnects its sockets', async () => {
      const main = await connected(server, { io });
      const socket = at('/orders/9');
      await event(socket, 'connect');
      const gone = event(socket, 'disconnect');
      assert.equal(await ask(main, 'close-namespace', '/orders/9'), true);
      assert.deepEqual((await gone)[0], 'io server disconnect');
      assert.equal(await ask(main, 'close-namespace', '/orders/9'), false);
    });
  });
}

test('a socket that sends too fast gets an error', async () => {
  const strict = await start(PROGRAM, { RATE: '3' });
  try {
    const socket = await connected(strict);
    const answers = await Promise.all([1, 2, 3, 4].map(() => socket.emitWithAck('hurry')));
    assert.deepEqual(answers, ['done', 'done', 'done', { error: 'rate limit exceeded' }]);
  } finally {
    await strict.stop();
  }
});
