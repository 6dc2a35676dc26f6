// Connections, refusals, disconnections and reconnections of the public JavaScript client.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Manager } from 'socket.io-client';

import { client, closeAll, connected, event, upgraded } from '../lib/client.mjs';
import { CALM, freePort, program, QUICK, start } from '../lib/server.mjs';

const PROGRAM = program('CONFORMANCE_SERVER');

let server;
before(async () => {
  server = await start(PROGRAM, CALM);
});
after(() => server?.stop());
afterEach(closeAll);

describe('namespaces', () => {
  test('share one connection and keep their events apart', async () => {
    const manager = new Manager(server.url);
    const main = manager.socket('/', { auth: { at: 'main' } });
    const custom = manager.socket('/custom', { auth: { at: 'custom' } });
    const [[mainAuth], [customAuth]] = await Promise.all([event(main, 'auth'), event(custom, 'auth')]);
    assert.deepEqual([mainAuth, customAuth], [{ at: 'main' }, { at: 'custom' }]);
    assert.equal(main.io.engine, custom.io.engine);
    assert.notEqual(main.id, custom.id);
    main.disconnect();
    custom.disconnect();
  });

  test('the refusal of an unknown namespace leaves the others connected', async () => {
    const manager = new Manager(server.url);
    const main = manager.socket('/');
    const random = manager.socket('/random');
    const [error] = await event(random, 'connect_error');
    assert.equal(error.message, 'Invalid namespace');
    assert.equal(random.connected, false);
    assert.equal(random.active, false, 'a refused socket must not try again');
    assert.equal(await main.emitWithAck('message-with-ack', 'still here'), 'still here');
    main.disconnect();
  });

  test('a client that leaves a namespace stays in the others and can join again', async () => {
    const manager = new Manager(server.url);
    const main = manager.socket('/');
    const custom = manager.socket('/custom');
    await Promise.all([event(main, 'connect'), event(custom, 'connect')]);
    const left = custom.id;
    custom.disconnect();
    assert.equal(await main.emitWithAck('message-with-ack', 1), 1);
    custom.connect();
    await event(custom, 'auth');
    assert.notEqual(custom.id, left);
    main.disconnect();
    custom.disconnect();
  });
});

describe('disconnecting', () => {
  test('by the client has its own reason and is final', async () => {
    const socket = await connected(server);
    const reason = event(socket, 'disconnect');
    socket.disconnect();
    assert.equal((await reason)[0], 'io client disconnect');
    assert.equal(socket.active, false);
  });

  test('by the server after a malformed packet is a transport close, and the client reconnects', async () => {
    const socket = await connected(server, { transports: ['websocket'] });
    const first = socket.id;
    const [reason, again] = [event(socket, 'disconnect'), event(socket.io, 'reconnect')];
    socket.io.engine.write('abc');
    assert.equal((await reason)[0], 'transport close');
    await again;
    await event(socket, 'connect');
    assert.notEqual(socket.id, first);
  });

  test('an event without a listener has no effect', async () => {
    const socket = await connected(server);
    socket.emit('no listener', 1, Buffer.from([1]));
    assert.equal(await socket.emitWithAck('message-with-ack', 2), 2);
  });

  test('a missing ack times out in the client', async () => {
    const socket = await connected(server);
    await assert.rejects(socket.timeout(50).emitWithAck('no listener'), /timed out/);
  });
});

test('pings keep a silent client connected', async () => {
  const quick = await start(PROGRAM, QUICK);
  for (const transports of [['websocket'], ['polling']]) {
    const socket = await connected(quick, { transports });
    for (let round = 0; round < 3; round++) await event(socket.io, 'ping');
    assert.equal(await socket.emitWithAck('message-with-ack', 'alive'), 'alive');
    socket.disconnect();
  }
  await quick.stop();
});

describe('volatile messages', () => {
  test('arrive on a connection that is ready', async () => {
    const socket = await connected(server, { transports: ['websocket'] });
    assert.equal(await socket.emitWithAck('message-with-ack', 1), 1);
    socket.volatile.emit('message', 'volatile');
    assert.deepEqual(await event(socket, 'message-back'), ['volatile']);
  });

  test('are dropped before the client is connected', async () => {
    const socket = client(server);
    socket.volatile.emit('message', 'volatile');
    socket.emit('message', 'kept');
    assert.deepEqual(await event(socket, 'message-back'), ['kept']);
  });
});

for (const transports of [['polling', 'websocket'], ['websocket'], ['polling']]) {
  test(`a client survives a restart of the server: ${transports}`, async () => {
    const port = await freePort();
    let attempts = 0;
    const first = await start(PROGRAM, { ...CALM, PORT: port });
    const socket = await connected(first, { transports, auth: (done) => done({ attempt: ++attempts }) });
    if (transports.includes('websocket')) await upgraded(socket);
    const before = socket.id;

    const lost = event(socket, 'disconnect');
    await first.stop();
    const [reason] = await lost;
    assert.ok(['transport close', 'transport error'].includes(reason), reason);
    socket.emit('message', 'sent while away');

    const back = Promise.all([event(socket.io, 'reconnect'), event(socket, 'auth'), event(socket, 'message-back')]);
    const second = await start(PROGRAM, { ...CALM, PORT: port });
    const [, [auth], message] = await back;
    assert.notEqual(socket.id, before);
    assert.deepEqual(auth, { attempt: attempts });
    assert.ok(attempts > 1, 'credentials are requested again');
    assert.deepEqual(message, ['sent while away']);
    socket.disconnect();
    await second.stop();
  });
}
