// Reliable events, which the server sends again after each reconnection until the public JavaScript client acknowledges them.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';

import { client, closeAll, event } from '../lib/client.mjs';
import { program, start } from '../lib/server.mjs';

const server = await start(program('RELIABLE_SERVER'));
after(() => server.stop());
afterEach(closeAll);

/** Delays that are long enough for the server to notice the lost connection. */
const patient = { reconnectionDelay: 200, reconnectionDelayMax: 200, randomizationFactor: 0 };

/** A client that has received an event. Without the event's offset it could not be recovered. */
async function welcomed(options) {
  const socket = client(server, { ...patient, ...options });
  await event(socket, 'welcome');
  return socket;
}

/** Loses the connection without a close frame. */
async function lose(socket) {
  const gone = event(socket, 'disconnect');
  const { transport } = socket.io.engine;
  if (transport.name === 'websocket') transport.ws.terminate();
  else socket.io.engine.close();
  await gone;
}

for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
  test(`events without an ack are sent again: ${transports}`, async () => {
    const socket = await welcomed({ transports });
    const paid = [];
    let drops = 2;
    socket.on('pay', async (n, answer) => {
      paid.push(n);
      if (n === 3 && drops > 0) {
        drops -= 1;
        // The ack is lost.
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

test('a client with a new session does not get the event again', async () => {
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

test('the sender gets an error if the namespace is closed', async () => {
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
