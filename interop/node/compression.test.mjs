// Compression negotiated with public clients.

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';

import { Socket } from 'engine.io-client';
import WebSocket from 'ws';

import { closeAll, connected, event } from '../lib/client.mjs';
import { Endpoint, within } from '../lib/raw.mjs';
import { CALM, program, start } from '../lib/server.mjs';

const CONFORMANCE = program('CONFORMANCE_SERVER');
describe('polling responses', () => {
  let server;
  let engine;
  before(async () => {
    server = await start(CONFORMANCE, CALM);
    engine = new Endpoint(server, '/engine.io/');
  });
  after(() => server?.stop());

  /** A response before decompression. */
  async function raw(sid, accept) {
    const url = `${engine.base}${engine.polling}&sid=${sid}`;
    const response = new Promise((resolve, reject) => {
      get(url, { headers: { 'accept-encoding': accept } }, resolve).on('error', reject);
    });
    const message = await within(response, 'a response');
    const body = Buffer.concat(await within(message.toArray(), 'its body'));
    return { headers: message.headers, body };
  }

  for (const [accept, decode] of [
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
    ['br', brotliDecompressSync],
  ]) {
    test(`are understood by zlib (${accept})`, async () => {
      const { sid } = await engine.handshake();
      const packet = `4${'€uro '.repeat(1000)}`;
      await engine.push(sid, packet);
      const { headers, body } = await raw(sid, accept);
      assert.equal(headers['content-encoding'], accept);
      assert.equal(headers.vary, 'accept-encoding');
      assert.equal(Number(headers['content-length']), body.length);
      assert.ok(body.length < 200, `${body.length} bytes`);
      assert.equal(decode(body).toString(), packet);
    });
  }

  test('are understood by fetch, which accepts them all', async () => {
    const { sid } = await engine.handshake();
    const packet = `4${'x'.repeat(100_000)}`;
    await engine.push(sid, packet);
    const { headers, body } = await engine.poll(sid);
    assert.equal(headers.get('content-encoding'), 'gzip');
    assert.equal(body, packet);
  });
});

const LONG = 'a message that is long '.repeat(200);
const NOISE = Buffer.from(Array.from({ length: 5000 }, (_, n) => (n * 2654435761) >>> 13));

/** Repetitions at distances just within and just beyond a window of 8 bits. */
const REPEATED = [250, 256, 300].map((length) => Buffer.concat(Array(20).fill(NOISE.subarray(0, length))));

/** Large, small, empty, binary and incompressible messages. */
const MESSAGES = ['short', LONG, '', 'x'.repeat(300_000), '€'.repeat(5000), NOISE, Buffer.alloc(0), Buffer.alloc(70_000, 7), ...REPEATED, LONG];

/** The negotiated parameters of a WebSocket. Undefined without compression. */
function parameters(ws) {
  const extension = ws._extensions['permessage-deflate'];
  const text = ([name, value]) => (value === true ? name : `${name}=${value}`);
  return extension && Object.entries(extension.params).map(text).join('; ');
}

for (const [setting, agreed] of [
  ['1', 'server_no_context_takeover; client_no_context_takeover'],
  ['contexts', ''],
]) {
  describe(`permessage-deflate (${setting})`, () => {
    let server;
    let url;
    before(async () => {
      server = await start(CONFORMANCE, { ...CALM, PER_MESSAGE_DEFLATE: setting });
      url = `ws://127.0.0.1:${server.port}/engine.io/?EIO=4&transport=websocket`;
    });
    after(() => server?.stop());
    afterEach(closeAll);

    /** Echoes all messages through `ws`. Returns the negotiated parameters and the number of bytes received. */
    async function exchange(perMessageDeflate) {
      const ws = new WebSocket(url, { perMessageDeflate });
      const frames = [];
      let more = () => {};
      ws.on('message', (data, isBinary) => {
        frames.push(isBinary ? data : data.toString());
        more();
      });
      const frame = async () => {
        while (frames.length === 0) await new Promise((resolve) => (more = resolve));
        return frames.shift();
      };
      const failed = new Promise((_, reject) => ws.once('close', (code) => reject(new Error(`closed (${code})`))));
      failed.catch(() => {});
      const next = () => within(Promise.race([frame(), failed]), 'a frame');
      assert.equal((await next())[0], '0');
      const before = ws._socket.bytesRead;
      for (const message of MESSAGES) ws.send(typeof message === 'string' ? `4${message}` : message);
      for (const message of MESSAGES) {
        assert.deepEqual(await next(), typeof message === 'string' ? `4${message}` : message);
      }
      const bytes = ws._socket.bytesRead - before;
      // Both ends still agree on the contexts, because the next message can be read.
      ws.send(`4${LONG}`);
      assert.equal(await next(), `4${LONG}`);
      const got = { agreed: parameters(ws), bytes };
      ws.terminate();
      return got;
    }

    test('with ws and its defaults', async () => {
      const { agreed: got, bytes } = await exchange({ threshold: 0 });
      assert.equal(got, agreed);
      assert.ok(bytes < 15_000, `${bytes} bytes`);
    });

    for (const bits of [8, 9, 12, 15]) {
      test(`with windows of ${bits} bits`, async () => {
        const options = { threshold: 0, serverMaxWindowBits: bits, clientMaxWindowBits: bits };
        const { agreed: got } = await exchange(options);
        assert.match(got, new RegExp(`server_max_window_bits=${bits}`));
        assert.match(got, new RegExp(`client_max_window_bits=${bits}`));
      });
    }

    test('with a client that keeps no contexts', async () => {
      const options = { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true };
      const { agreed: got } = await exchange(options);
      assert.match(got, /server_no_context_takeover; client_no_context_takeover/);
    });

    test('is not used if the client does not offer it', async () => {
      const { agreed: got, bytes } = await exchange(false);
      assert.equal(got, undefined);
      assert.ok(bytes > 300_000, `${bytes} bytes`);
    });

    test('with engine.io-client', async () => {
      const client = new Socket(`ws://127.0.0.1:${server.port}`, {
        transports: ['websocket'],
        perMessageDeflate: { threshold: 0 },
      });
      client.binaryType = 'nodebuffer';
      // It reports an empty text as undefined.
      const messages = MESSAGES.filter((message) => message !== '');
      const got = [];
      const all = new Promise((resolve) => {
        client.on('message', (message) => got.push(message) === messages.length && resolve());
      });
      await event(client, 'open');
      assert.equal(parameters(client.transport.ws), agreed);
      for (const message of messages) client.send(message);
      await within(all, 'all echoes');
      assert.deepEqual(got, messages);
      client.close();
    });

    test('with socket.io-client, after an upgrade', async () => {
      const socket = await connected(server, { perMessageDeflate: { threshold: 0 } });
      if (socket.io.engine.transport.name !== 'websocket') await event(socket.io.engine, 'upgrade');
      assert.equal(parameters(socket.io.engine.transport.ws), agreed);
      socket.emit('message', LONG, NOISE, 1);
      const [text, binary, number] = await event(socket, 'message-back');
      assert.equal(text, LONG);
      assert.deepEqual(binary, NOISE);
      assert.equal(number, 1);
    });

    test('does not let a message inflate beyond the limit', async () => {
      const ws = new WebSocket(url, { perMessageDeflate: { threshold: 0 } });
      ws.on('error', () => {});
      await event(ws, 'open');
      ws.send(`4${'x'.repeat(20_000_000)}`);
      assert.equal((await event(ws, 'close'))[0], 1009);
    });
  });
}
