// Connection state recovery of the public JavaScript client, which loses its connection while the server keeps sending.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';

import v2 from 'socket.io-client-v2';
import { io as v3 } from 'socket.io-client-v3';

import { client, closeAll, event } from '../lib/client.mjs';
import { switchLines } from '../lib/rehearsal.mjs';
import { program, start } from '../lib/server.mjs';

const server = await start(program('RECOVERY_SERVER'), { ALLOW_EIO3: '1' });
after(() => server.stop());
afterEach(closeAll);

/** Delays that are long enough for the server to notice the lost connection. */
const patient = { reconnectionDelay: 300, reconnectionDelayMax: 300, randomizationFactor: 0 };

/** Checks each event: the numbers have no gap and no repetition, and the event of a room follows each number that is divisible by 3. */
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

/** Waits for `count` more numbers. */
async function more(socket, seen, count) {
  const until = (seen.next ?? 0) + count;
  while (seen.next === undefined || seen.next < until) {
    await event(socket, 'n');
    if (seen.error) throw seen.error;
  }
}

/** Loses the connection, on WebSocket without a close frame, and waits for the reconnection. */
async function drop(socket) {
  // The client may notice at once.
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

test('ten lost connections over WebSocket lose and repeat no event', () => survives({ transports: ['websocket'] }, 10));

test('three lost connections over polling lose and repeat no event', () => survives({ transports: ['polling'] }, 3));

test('three lost connections after an upgrade lose and repeat no event', () => survives({}, 3));

test('a long interruption loses and repeats no event', () =>
  survives({ transports: ['websocket'], reconnectionDelay: 2000, reconnectionDelayMax: 2000 }, 1));

test('a client that disconnects itself gets a new session', async () => {
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
  test(`a ${version} client reconnects without recovery`, async () => {
    const socket = client(server, { ...patient, io });
    await event(socket, 'connect');
    const [n] = await event(socket, 'n');
    assert.equal(typeof n, 'number');
    await drop(socket);
    const [later] = await event(socket, 'n');
    assert.ok(later > n);
  });
}

for (const receiver of ['node', 'rust']) {
  test(`a client of ${receiver} replaces a hundred silent connections at once, and loses nothing`, async () => {
    const { inOrder, lost, twice, recovered, fresh } = await switchLines([server], { receiver });
    assert.deepEqual({ inOrder, lost, twice, recovered, fresh }, { inOrder: true, lost: 0, twice: 0, recovered: 100, fresh: 0 });
  });
}
