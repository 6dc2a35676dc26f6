// Clients over TLS: the public client with HTTP/1.1, and Node's client for HTTP/2.

import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, before, test } from 'node:test';

import { closeAll, connected, upgraded } from '../lib/client.mjs';
import { within } from '../lib/raw.mjs';
import { program, start } from '../lib/server.mjs';

// The server generates its certificate.
const TRUSTING = { rejectUnauthorized: false };
let server;

before(async () => {
  const { port, ...rest } = await start(program('TLS_SERVER'));
  server = { ...rest, port, url: `https://127.0.0.1:${port}` };
});
after(async () => {
  closeAll();
  const how = await server?.stop();
  assert.deepEqual(how, { code: 0, signal: null });
});

for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
  test(`a client with ${transports.join(' and ')}`, async () => {
    const socket = await connected(server, { ...TRUSTING, transports });
    assert.equal(await socket.timeout(60_000).emitWithAck('echo', 'hello'), 'hello');
    assert.equal(await socket.timeout(60_000).emitWithAck('secure'), true);
    if (transports.length === 2) {
      await upgraded(socket);
      assert.equal(await socket.timeout(60_000).emitWithAck('echo', 'again'), 'again');
    }
    const long = 'x'.repeat(300_000);
    assert.equal(await socket.timeout(60_000).emitWithAck('echo', long), long);
    socket.disconnect();
  });
}

test('a client that does not trust the certificate fails to connect', async () => {
  const { client, event } = await import('../lib/client.mjs');
  const [error] = await event(client(server, { transports: ['websocket'], reconnection: false }), 'connect_error');
  assert.match(String(error.description?.message ?? error.message), /self.signed|websocket error/i);
});

test("Node's HTTP/2", async () => {
  const session = connect(server.url, TRUSTING);
  const request = (headers, body) => {
    const stream = session.request(headers);
    const answer = new Promise((resolve, reject) => {
      stream.once('error', reject);
      stream.once('response', async (head) => {
        resolve({ status: head[':status'], body: Buffer.concat(await stream.toArray()).toString() });
      });
    });
    stream.end(body);
    return within(answer, 'an answer');
  };
  const path = '/socket.io/?EIO=4&transport=polling';
  const opened = await request({ ':path': path });
  assert.equal(opened.status, 200);
  assert.equal(session.alpnProtocol, 'h2');
  const { sid } = JSON.parse(opened.body.slice(1));
  const own = `${path}&sid=${sid}`;
  const pushed = await request({ ':path': own, ':method': 'POST' }, '40\x1e420["echo","hello"]');
  assert.deepEqual(pushed, { status: 200, body: 'ok' });
  let polled = '';
  while (!polled.includes('430["hello"]')) polled += (await request({ ':path': own })).body;
  assert.match(polled, /^40\{"sid":/);

  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'https',
    ':authority': 'localhost',
    ':path': '/socket.io/?EIO=4&transport=websocket',
    'sec-websocket-version': '13',
  });
  const head = await within(new Promise((resolve) => stream.once('response', resolve)), 'a response');
  assert.equal(head[':status'], 200);
  const frame = await within(new Promise((resolve) => stream.once('data', resolve)), 'a frame');
  assert.equal(frame[0], 0x81);
  assert.match(frame.toString(), /0\{"sid":/);
  session.destroy();
});
