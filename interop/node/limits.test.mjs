// The payload limit of 1 000 000 bytes, with raw requests and with the public JavaScript client.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';

import { closeAll, connected, event, upgraded } from '../lib/client.mjs';
import { Endpoint, within } from '../lib/raw.mjs';
import { CALM, program, start } from '../lib/server.mjs';

const LIMIT = 1_000_000;

let server;
let engine;
before(async () => {
  server = await start(program('CONFORMANCE_SERVER'), CALM);
  engine = new Endpoint(server, '/engine.io/');
});
after(() => server?.stop());
afterEach(closeAll);

describe('over polling', () => {
  test('a body of exactly the limit is accepted', async () => {
    const { sid } = await engine.handshake();
    const body = `4${'x'.repeat(LIMIT - 1)}`;
    assert.equal((await engine.push(sid, body)).status, 200);
    assert.equal((await engine.poll(sid)).body, body);
  });

  test('one byte more gets 413, and the session ends', async () => {
    const { sid } = await engine.handshake();
    const { answer } = await engine.waitingPoll(sid);
    assert.equal((await engine.push(sid, `4${'x'.repeat(LIMIT)}`)).status, 413);
    assert.equal((await answer).body, '1');
    await engine.assertGone(sid);
  });

  test('a declared length above the limit gets 413 before the body is sent', async () => {
    const { sid } = await engine.handshake();
    const status = new Promise((resolve, reject) => {
      const headers = { 'content-length': 2 * LIMIT, 'content-type': 'text/plain' };
      const pending = request(`${engine.base}?EIO=4&transport=polling&sid=${sid}`, { method: 'POST', headers });
      pending.on('response', (response) => {
        resolve(response.statusCode);
        pending.destroy();
      });
      pending.on('error', reject);
      pending.flushHeaders();
    });
    assert.equal(await within(status, '413'), 413);
  });

  test('a body without a declared length is cut off at the limit', async () => {
    const { sid } = await engine.handshake();
    const chunk = new TextEncoder().encode('x'.repeat(64 * 1024));
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (sent++ < 64) controller.enqueue(chunk);
        else controller.close();
      },
    });
    const options = { method: 'POST', body, duplex: 'half' };
    const answer = fetch(`${engine.base}?EIO=4&transport=polling&sid=${sid}`, options);
    // The server keeps reading, so that the client can read the response.
    assert.equal((await within(answer, '413')).status, 413);
    await engine.assertGone(sid);
  });
});

describe('over WebSocket', () => {
  test('a message of exactly the limit comes back', async () => {
    const socket = await engine.open();
    const bytes = Buffer.alloc(LIMIT, 7);
    socket.send(bytes);
    assert.deepEqual(await socket.next(), bytes);
    socket.drop();
  });

  test('one byte more closes with 1009', async () => {
    const socket = await engine.open();
    socket.send(Buffer.alloc(LIMIT + 1));
    assert.equal(await socket.close(), 1009);
  });

  test('fragments that add up to more close with 1009', async () => {
    const socket = await engine.open();
    for (let n = 0; n < 5; n++) socket.ws.send(Buffer.alloc(250_000), { fin: false });
    assert.equal(await socket.close(), 1009);
  });
});

describe('with the public client', () => {
  for (const transports of [['polling', 'websocket'], ['websocket'], ['polling']]) {
    test(`a large message comes back: ${transports}`, async () => {
      const socket = await connected(server, { transports });
      if (transports.includes('websocket')) await upgraded(socket);
      const text = '€'.repeat(300_000);
      assert.equal(await socket.emitWithAck('message-with-ack', text), text);
      const bytes = Buffer.alloc(transports.includes('websocket') ? 990_000 : 700_000, 9);
      assert.deepEqual(await socket.emitWithAck('message-with-ack', bytes), bytes);
    });

    test(`a message that is too large ends the connection, and the client reconnects: ${transports}`, async () => {
      const socket = await connected(server, { transports });
      if (transports.includes('websocket')) await upgraded(socket);
      const lost = event(socket, 'disconnect');
      const back = event(socket.io, 'reconnect');
      socket.emit('message', 'x'.repeat(LIMIT + 1));
      assert.ok(['transport close', 'transport error'].includes((await lost)[0]));
      await back;
    });
  }

  test('more than the limit in several messages is split over several bodies', async () => {
    const socket = await connected(server, { transports: ['polling'] });
    const answers = Array.from({ length: 5 }, (_, n) => socket.emitWithAck('message-with-ack', n, 'x'.repeat(400_000)));
    assert.deepEqual(await Promise.all(answers), [0, 1, 2, 3, 4]);
  });
});
