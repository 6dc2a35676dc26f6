// Events that the server sends until the public JavaScript client has answered them, whatever happens to its connection.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';

import { client, closeAll, event } from '../lib/client.mjs';
import { program, start } from '../lib/server.mjs';

const server = await start(program('RELIABLE_SERVER'));
after(() => server.stop());
afterEach(closeAll);

/** Long enough for the server to notice that the former connection is gone. */
const patient = { reconnectionDelay: 200, reconnectionDelayMax: 200, randomizationFactor: 0 };

/** A client that has got an event: it needs an offset to come back. */
async function welcomed(options) {
  const socket = client(server, { ...patient, ...options });
  await event(socket, 'welcome');
  return socket;
}

/** Loses the connection without a word. */
async function lose(socket) {
  const gone = event(socket, 'disconnect');
  const { transport } = socket.io.engine;
  if (transport.name === 'websocket') transport.ws.terminate();
  else socket.io.engine.close();
  await gone;
}

for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
  test(`what is not answered comes again: ${transports}`, async () => {
    const socket = await welcomed({ transports });
    const paid = [];
    let drops = 2;
    socket.on('pay', async (n, answer) => {
      paid.push(n);
      if (n === 3 && drops > 0) {
        drops -= 1;
        // The answer does not get out.
        await lose(socket);
        return;
      }
      answer(n * 2);
    });
    const done = event(socket, 'paid');
    socket.emit('order', 5);
    const [answers] = await done;
    assert.deepEqual(answers, [2, 4, 6, 8, 10]);
    assert.deepEqual(paid, [1, 2, 3, 3, 3, 4, 5]);
    assert.equal(socket.recovered, true);
  });
}

test('a client that begins anew does not get it again', async () => {
  const socket = await welcomed({ transports: ['websocket'] });
  const paid = [];
  socket.on('pay', (n) => paid.push(n));
  const other = client(server);
  await event(other, 'connect');
  const first = event(socket, 'pay');
  socket.emit('order', 1);
  await first;
  const outcome = event(other, 'not paid');
  socket.disconnect().connect();
  await event(socket, 'connect');
  assert.equal(socket.recovered, false);
  assert.equal((await outcome)[0], 'the client did not come back');
  assert.deepEqual(paid, [1]);
});

test('the sender is told when the namespace is closed', async () => {
  const socket = await welcomed({ transports: ['websocket'], namespace: '/closing' });
  const other = client(server);
  await event(other, 'connect');
  const first = event(socket, 'pay');
  socket.emit('order', 1);
  await first;
  const outcome = event(other, 'not paid');
  other.emit('close namespace', '/closing');
  assert.equal((await outcome)[0], 'the server or the namespace was closed');
});
