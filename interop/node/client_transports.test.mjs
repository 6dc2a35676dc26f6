// The public JavaScript client over each of its ways to connect.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { client, closeAll, connected, event, upgraded } from '../lib/client.mjs';
import { program, start } from '../lib/server.mjs';

let server;
before(async () => {
  server = await start(program('CONFORMANCE_SERVER'), { PING_INTERVAL: '25000', PING_TIMEOUT: '20000' });
});
after(() => server?.stop());
afterEach(closeAll);

const WAYS = {
  'polling, then upgrade': { ends: 'websocket' },
  'WebSocket only': { transports: ['websocket'], ends: 'websocket' },
  'polling only': { transports: ['polling'], ends: 'polling' },
};

for (const [name, { ends, ...options }] of Object.entries(WAYS)) {
  describe(name, () => {
    const settled = async () => {
      const socket = await connected(server, options);
      if (ends === 'websocket') await upgraded(socket);
      return socket;
    };

    test('connects, and ends on the right transport', async () => {
      const socket = await settled();
      assert.equal(socket.io.engine.transport.name, ends);
    });

    test('auth reaches the server', async () => {
      const socket = client(server, { ...options, auth: { token: 'é€😀', deep: [1, { two: true }] } });
      const [auth] = await event(socket, 'auth');
      assert.deepEqual(auth, { token: 'é€😀', deep: [1, { two: true }] });
    });

    test('any arguments come back', async () => {
      const socket = await settled();
      const sent = [1, -0.5, 'two', '', null, true, [], { three: [{ four: '€' }] }];
      socket.emit('message', ...sent);
      assert.deepEqual(await event(socket, 'message-back'), sent);
    });

    test('binary comes back, deep inside an argument too', async () => {
      const socket = await settled();
      const sent = [Buffer.from([0, 255, 30]), { deep: [Buffer.from('4hello'), { er: Buffer.alloc(0) }] }];
      socket.emit('message', ...sent);
      assert.deepEqual(await event(socket, 'message-back'), sent);
    });

    test('acknowledgements come back', async () => {
      const socket = await settled();
      const answer = await new Promise((resolve) => {
        socket.emit('message-with-ack', 1, '2', { 3: [false] }, (...args) => resolve(args));
      });
      assert.deepEqual(answer, [1, '2', { 3: [false] }]);
      assert.deepEqual(await socket.emitWithAck('message-with-ack', Buffer.from([1, 2])), Buffer.from([1, 2]));
    });

    test('the server asks for acknowledgements and reads them', async () => {
      const socket = await settled();
      socket.emit('emit-with-ack', 'question', Buffer.from([7]));
      const [question, bytes, answer] = await event(socket, 'emit-with-ack');
      assert.deepEqual([question, bytes], ['question', Buffer.from([7])]);
      answer('answer', { bytes: Buffer.from([8]) });
      assert.deepEqual(await event(socket, 'emit-with-ack'), ['answer', { bytes: Buffer.from([8]) }]);
    });

    test('a thousand messages keep their order, sent from the first moment on', async () => {
      const socket = client(server, options);
      const count = 1000;
      const seen = [];
      const done = new Promise((resolve) => {
        socket.on('message-back', (number) => seen.push(number) === count && resolve());
      });
      let next = 0;
      // In batches with pauses of the event loop's own length, so that an upgrade falls in between.
      const batch = () => {
        for (let n = 0; n < 10 && next < count; n++) socket.emit('message', next++, next % 7 ? 'x' : Buffer.from([1]));
        if (next < count) setImmediate(batch);
      };
      socket.once('connect', batch);
      await done;
      assert.deepEqual(seen, Array.from({ length: count }, (_, number) => number));
      assert.equal(socket.io.engine.transport.name, ends);
    });

    test('many clients at once each get their own messages', async () => {
      const echo = async (_, number) => {
        const socket = await connected(server, options);
        return socket.emitWithAck('message-with-ack', number);
      };
      const answers = await Promise.all(Array.from({ length: 40 }, echo));
      assert.deepEqual(answers, Array.from({ length: 40 }, (_, number) => number));
    });
  });
}
