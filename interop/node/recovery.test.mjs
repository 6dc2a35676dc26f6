// Connection state recovery, with the public JavaScript client losing its connection while the server talks on.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';

import v2 from 'socket.io-client-v2';
import { io as v3 } from 'socket.io-client-v3';

import { client, closeAll, event } from '../lib/client.mjs';
import { program, start } from '../lib/server.mjs';

const server = await start(program('RECOVERY_SERVER'), { ALLOW_EIO3: '1' });
after(() => server.stop());
afterEach(closeAll);

/** Long enough for the server to notice that the former connection is gone. */
const patient = { reconnectionDelay: 300, reconnectionDelayMax: 300, randomizationFactor: 0 };

/** Checks each event as it comes: the numbers have no gap, no repetition, and what belongs to a room its place. */
function listen(socket) {
  const seen = { next: undefined, wanted: 'n', rooms: 0, error: undefined };
  const check = (name, n) => {
    if (seen.next === undefined) {
      if (name !== 'n') return;
      seen.next = n;
    }
    if (n !== seen.next || name !== seen.wanted) {
      seen.error ??= new Error(`${name} ${n} instead of ${seen.wanted} ${seen.next}`);
    }
    const room = name === 'n' && n % 3 === 0;
    seen.wanted = room ? 'room' : 'n';
    if (!room) seen.next += 1;
  };
  socket.on('n', (n, offset) => {
    assert.equal(typeof offset, 'string');
    check('n', n);
  });
  socket.on('room', (n, binary) => {
    seen.rooms += 1;
    if (Buffer.from(binary).readUInt32BE() !== n) seen.error ??= new Error(`wrong binary with ${n}`);
    check('room', n);
  });
  socket.on('not for you', () => (seen.error ??= new Error('an event of another room')));
  return seen;
}

/** Waits until so many more numbers have come. */
async function more(socket, seen, count) {
  const until = (seen.next ?? 0) + count;
  while (seen.next === undefined || seen.next < until) {
    await event(socket, 'n');
    if (seen.error) throw seen.error;
  }
}

/** Loses the connection, on WebSocket without a word, and comes back. */
async function drop(socket) {
  // A client may know at once.
  const gone = event(socket, 'disconnect');
  const { transport } = socket.io.engine;
  if (transport.name === 'websocket') transport.ws.terminate();
  else socket.io.engine.close();
  await gone;
  await event(socket, 'connect');
}

async function survives(options, drops) {
  const socket = client(server, { ...patient, ...options });
  const seen = listen(socket);
  await event(socket, 'connect');
  assert.equal(socket.recovered, false);
  const { id } = socket;
  await more(socket, seen, 20);
  for (let round = 0; round < drops; round += 1) {
    await drop(socket);
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    await more(socket, seen, 5 + 20 * (round % 3));
  }
  assert.ok(seen.rooms > 0);
}

test('ten drops over WebSocket lose and repeat nothing', () => survives({ transports: ['websocket'] }, 10));

test('nor do drops over polling', () => survives({ transports: ['polling'] }, 3));

test('nor do drops after an upgrade', () => survives({}, 3));

test('nor does a long one', () =>
  survives({ transports: ['websocket'], reconnectionDelay: 2000, reconnectionDelayMax: 2000 }, 1));

test('a client that disconnects by itself begins anew', async () => {
  const socket = client(server, patient);
  await event(socket, 'connect');
  const { id } = socket;
  await event(socket, 'n');
  socket.disconnect().connect();
  await event(socket, 'connect');
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
});

for (const [version, io] of [['v2', v2], ['v3', v3]]) {
  test(`a ${version} client is none the worse for it`, async () => {
    const socket = client(server, { ...patient, io });
    await event(socket, 'connect');
    const [n] = await event(socket, 'n');
    assert.equal(typeof n, 'number');
    await drop(socket);
    const [later] = await event(socket, 'n');
    assert.ok(later > n);
  });
}
