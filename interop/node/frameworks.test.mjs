// The servers inside frameworks: each serves the same page, login and events.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { client, closeAll, connected, event, upgraded } from '../lib/client.mjs';
import { eventually } from '../lib/cluster.mjs';
import { program, start } from '../lib/server.mjs';

const FOLDER = program('FRAMEWORKS');

for (const framework of ['axum', 'hyper', 'poem', 'salvo', 'actix']) {
  describe(framework, () => {
    let server;
    before(async () => {
      server = await start(join(FOLDER, framework));
    });
    afterEach(closeAll);
    after(() => server.stop());

    /** The options of a client that has logged in. */
    async function session(name) {
      const login = await fetch(`${server.url}/login?name=${name}`, { method: 'POST' });
      assert.equal(login.status, 200);
      const [cookie] = login.headers.get('set-cookie').split(';');
      return { extraHeaders: { cookie } };
    }

    test('serves its page', async () => {
      const page = await fetch(server.url);
      assert.match(page.headers.get('content-type'), /^text\/html/);
      assert.match(await page.text(), /Socket\.IO in a framework/);
    });
    test('refuses a client without the cookie', async () => {
      const [error] = await event(client(server), 'connect_error');
      assert.equal(error.message, 'log in first');
    });
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
      test(`serves a client that has logged in, over ${transports.join(' and ')}`, async () => {
        const socket = await connected(server, { ...(await session('ann')), transports });
        if (transports.length === 2) await upgraded(socket);
        assert.deepEqual(await socket.emitWithAck('who am I?'), { name: 'ann', address: '127.0.0.1' });
        const other = await connected(server, { ...(await session('bob')), transports });
        const said = event(other, 'said');
        socket.emit('say', 'hello');
        assert.deepEqual(await said, ['ann', 'hello']);
        const bytes = Buffer.alloc(300_000, 7);
        assert.ok(bytes.equals(await socket.emitWithAck('echo', bytes)));
      });
    }
    test('notices that a client is gone', async () => {
      const options = await session('ann');
      const [ann, bob] = [await connected(server, options), await connected(server, { ...options, transports: ['websocket'], reconnection: false })];
      assert.equal(await ann.emitWithAck('how many?'), 2);
      bob.io.engine.transport.ws.terminate();
      await eventually(async () => (await ann.emitWithAck('how many?')) === 1, 'the other client is gone');
    });
  });
}

test('axum allows pages of one other origin, by the layer of tower-http', async () => {
  const server = await start(join(FOLDER, 'axum'));
  try {
    const path = `${server.url}/socket.io/?EIO=4&transport=polling`;
    const asked = async (origin) => (await fetch(path, { headers: { origin } })).headers.get('access-control-allow-origin');
    assert.equal(await asked('https://app.example'), 'https://app.example');
    assert.notEqual(await asked('https://evil.example'), 'https://evil.example');
  } finally {
    await server.stop();
  }
});
