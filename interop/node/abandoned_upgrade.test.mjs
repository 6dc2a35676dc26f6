// A WebSocket probe that was answered is closed before the client has switched, as by a page that is reloaded. Node's
// server keeps the session until the ping timeout. JavaScript clients never poll again, so our server ends the session
// after `upgrade_timeout`: the tests of `engineio-parser` hold that, and that clients that poll again are not affected.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterEach, beforeEach, test } from 'node:test';

import { Server } from 'engine.io';
import { Socket } from 'engine.io-client';
import v3 from 'engine.io-client-v3';
import { WebSocket } from 'ws';

import { within } from '../lib/raw.mjs';

let http;
let engine;
let requests;
beforeEach(async () => {
  http = createServer();
  engine = new Server({ allowEIO3: true, pingInterval: 1000, pingTimeout: 1000 });
  engine.attach(http);
  requests = 0;
  http.on('request', () => requests++);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
});
afterEach(() => {
  engine.close();
  http.close();
  http.closeAllConnections();
});

/** Resolves with the next session, once its probe was answered. */
async function answered() {
  const [socket] = await within(once(engine, 'connection'));
  // The ended session does not keep the test running.
  socket.transport.closeTimeout = 0;
  const [transport] = await within(once(socket, 'upgrading'));
  return { socket, websocket: transport.socket };
}

/** Resolves with the reason of a session's end, and with the number of requests until then. */
async function end(socket) {
  const before = requests;
  const [reason] = await within(once(socket, 'close'));
  return { reason, requests: requests - before };
}

test('the server keeps the session until the ping timeout', async () => {
  const address = `127.0.0.1:${http.address().port}/engine.io/?EIO=4&transport`;
  const session = answered();
  const { sid } = JSON.parse((await (await fetch(`http://${address}=polling`)).text()).slice(1));
  const poll = fetch(`http://${address}=polling&sid=${sid}`);
  const websocket = new WebSocket(`ws://${address}=websocket&sid=${sid}`);
  await within(once(websocket, 'open'));
  const answer = within(once(websocket, 'message'));
  websocket.send('2probe');
  assert.equal(String((await answer)[0]), '3probe');
  await (await poll).text();
  websocket.close(1001);
  assert.deepEqual(await end((await session).socket), { reason: 'ping timeout', requests: 0 });
});

const clients = { 6: (url) => new Socket(url), 3: (url) => v3(url) };
for (const [version, connect] of Object.entries(clients)) {
  test(`a client of version ${version} makes no further request`, async () => {
    const session = answered();
    const client = connect(`http://127.0.0.1:${http.address().port}`);
    const upgrading = once(client, 'upgrading');
    const failed = once(client, 'upgradeError');
    const { socket, websocket } = await session;
    // The close frame follows the answer, which the client reads before.
    websocket.close(1001);
    const ended = end(socket);
    await within(Promise.all([upgrading, failed]));
    assert.deepEqual(await ended, { reason: 'ping timeout', requests: 0 });
    client.close();
  });
}
