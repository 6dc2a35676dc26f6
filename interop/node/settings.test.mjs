// The settings of the conformance server, observed by a client.

import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { after, before, test } from 'node:test';

import { Endpoint } from '../lib/raw.mjs';
import { CALM, freePort, program, start } from '../lib/server.mjs';

const PROGRAM = program('CONFORMANCE_SERVER');
let server;
let engine;

before(async () => {
  server = await start(PROGRAM);
  engine = new Endpoint(server, '/engine.io/');
});
after(() => server?.stop());

test('prints LISTENING once', () => {
  assert.equal(server.output().match(/LISTENING/g).length, 1);
});

// A busy machine may be late, so there are no upper bounds. The times begin before the session, because this process may
// read the handshake late.
test('pingInterval is 300 ms, and the first ping comes after it', async () => {
  const before = performance.now();
  const socket = await engine.open();
  assert.equal(JSON.parse(socket.opening.slice(1)).pingInterval, 300);
  assert.equal(await socket.next(), '2');
  assert.ok(performance.now() - before > 299, 'the ping came too early');
  socket.drop();
});

test('pingTimeout is 200 ms, and a silent client stays connected until its pong is overdue', async () => {
  const before = performance.now();
  const socket = await engine.open();
  assert.equal(JSON.parse(socket.opening.slice(1)).pingTimeout, 200);
  await socket.close();
  assert.ok(performance.now() - before > 499, 'closed too early');
});

test('maxPayload is 1000000', async () => {
  assert.equal((await engine.handshake()).maxPayload, 1_000_000);
});

test('only polling sessions can be upgraded, to websocket', async () => {
  assert.deepEqual((await engine.handshake()).upgrades, ['websocket']);
  const socket = await engine.open();
  assert.deepEqual(JSON.parse(socket.opening.slice(1)).upgrades, []);
  socket.drop();
});

test('listens on the IPv4 and the IPv6 loopback address', async (t) => {
  const get = (host) => fetch(`http://${host}:${server.port}/engine.io/?EIO=4&transport=polling`);
  assert.equal((await get('127.0.0.1')).status, 200);
  const hasIpv6 = Object.values(networkInterfaces()).flat().some(({ address }) => address === '::1');
  if (!hasIpv6) return t.diagnostic('this machine has no IPv6 loopback address');
  assert.equal((await get('[::1]')).status, 200);
});

test('connection state recovery is off: the CONNECT reply has one key, sid', async () => {
  const calm = await start(PROGRAM, CALM);
  const socket = await new Endpoint(calm, '/socket.io/').open();
  socket.send('40');
  assert.deepEqual(Object.keys(JSON.parse((await socket.next()).slice(2))), ['sid']);
  socket.drop();
  await calm.stop();
});

test('revision 3 is off', async () => {
  const { status, body } = await engine.request('?EIO=3&transport=polling');
  assert.equal(status, 400);
  assert.deepEqual(JSON.parse(body), { code: 5, message: 'Unsupported protocol version' });
  await engine.socket('?EIO=3&transport=websocket').close();
});

test('the environment sets the timings and the payload limit', async () => {
  const other = await start(PROGRAM, { PING_INTERVAL: '4000', PING_TIMEOUT: '3000', MAX_PAYLOAD: '5000' });
  const handshake = await new Endpoint(other, '/engine.io/').handshake();
  assert.deepEqual(
    [handshake.pingInterval, handshake.pingTimeout, handshake.maxPayload],
    [4000, 3000, 5000],
  );
  await other.stop();
});

test('ends cleanly on SIGTERM, with clients connected', async () => {
  const port = await freePort();
  const other = await start(PROGRAM, { PORT: port, PING_INTERVAL: '60000' });
  const socket = await new Endpoint(other, '/socket.io/').connect();
  const polling = new Endpoint(other, '/engine.io/');
  const { sid } = await polling.handshake();
  const waiting = polling.poll(sid).catch(() => {});
  const how = await other.stop();
  assert.deepEqual(how, { code: 0, signal: null });
  await socket.close();
  await waiting;
});
