// Statements of the documentation about Node's server, checked against Node's server and this one.
// The two agree, or this one differs on purpose.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { Server } from 'socket.io';
import { io as v4 } from 'socket.io-client';
import v2 from 'socket.io-client-v2';
import { io as v3 } from 'socket.io-client-v3';

import { client, closeAll, event } from '../lib/client.mjs';
import { program, start } from '../lib/server.mjs';

const PROGRAM = program('FEATURES_SERVER');

let node;
let ours;
/** How often Node's server has called the function of its dynamic namespaces. */
let asked = 0;

before(async () => {
  ours = await start(PROGRAM);
  const http = createServer();
  const io = new Server(http, { allowEIO3: true });
  io.on('connection', (socket) => {
    socket.on('auth', (answer) => answer(socket.handshake.auth));
    socket.on('to-no-rooms', (answer) => {
      io.to([]).emit('cast');
      answer('done');
    });
  });
  io.of((name, auth, next) => {
    asked += 1;
    next(null, name.startsWith('/team-') && auth.token === 'secret');
  });
  io.of('/team-named');
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  node = { url: `http://127.0.0.1:${http.address().port}`, stop: () => io.close() };
});
after(async () => {
  await node?.stop();
  await ours?.stop();
});
afterEach(closeAll);

const ask = (socket, ...args) => new Promise((resolve) => socket.emit(...args, resolve));

/** `connect`, or the message of the refusal. */
async function entering(server, namespace, auth) {
  const socket = client(server, { namespace, auth });
  const [error] = await Promise.race([event(socket, 'connect'), event(socket, 'connect_error')]);
  return error ? error.message : 'connect';
}

for (const [version, io] of Object.entries({ v2, v3, v4 })) {
  test(`the auth of a ${version} client without credentials is an empty object`, async () => {
    for (const server of [node, ours]) {
      assert.deepEqual(await ask(client(server, { io }), 'auth'), {});
    }
  });
}

test('an empty list of rooms selects all clients in Node, and none here', async () => {
  for (const [server, expected] of [
    [node, ['cast']],
    [ours, []],
  ]) {
    const socket = client(server);
    const seen = [];
    socket.on('cast', () => seen.push('cast'));
    assert.equal(await ask(socket, 'to-no-rooms'), 'done');
    assert.deepEqual(seen, expected);
  }
});

test('the function of dynamic namespaces is called once per namespace in Node, and for every client here', async () => {
  for (const server of [node, ours]) {
    assert.equal(await entering(server, '/team-1', { token: 'guess' }), 'Invalid namespace');
    assert.equal(await entering(server, '/team-1', { token: 'secret' }), 'connect');
  }
  const before = asked;
  assert.equal(await entering(node, '/team-1', { token: 'guess' }), 'connect');
  assert.equal(asked, before);
  assert.equal(await entering(ours, '/team-1', { token: 'guess' }), 'Invalid namespace');
});

test('a namespace that the application used first bypasses the function in Node, but not here', async () => {
  assert.equal(await entering(node, '/team-named', { token: 'guess' }), 'connect');
  assert.equal(await entering(ours, '/team-named', { token: 'guess' }), 'Invalid namespace');
  assert.equal(await entering(ours, '/team-named', { token: 'secret' }), 'connect');
});
