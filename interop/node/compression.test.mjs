// Compression, negotiated with clients that are not ours.

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';

import { Endpoint, within } from '../lib/raw.mjs';
import { program, start } from '../lib/server.mjs';

const CONFORMANCE = program('CONFORMANCE_SERVER');
const PATIENT = { PING_INTERVAL: '25000', PING_TIMEOUT: '20000' };

describe('polling responses', () => {
  let server;
  let engine;
  before(async () => {
    server = await start(CONFORMANCE, PATIENT);
    engine = new Endpoint(server, '/engine.io/');
  });
  after(() => server?.stop());

  /** A response as it came over the wire. */
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
