// Chromium and Firefox with the public JavaScript client over WebTransport.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { open } from '../lib/browsers.mjs';
import { freePort, program, start } from '../lib/server.mjs';
import { bundle, echo, exercise, expected, LATEST, pages, SERVER } from './everywhere.mjs';

const ALL = ['polling', 'websocket', 'webtransport'];

/** Runs in the page. Connects, loses the connection, and returns how the server recovered the session. */
async function recover({ url, hash }) {
  const serverCertificateHashes = [{ algorithm: 'sha-256', value: new Uint8Array(hash) }];
  const transportOptions = { webtransport: { serverCertificateHashes } };
  const socket = window.io(url, { transports: ['webtransport'], transportOptions, reconnectionDelay: 100 });
  const next = (event) => new Promise((resolve) => socket.once(event, resolve));
  // This event has the offset that the client names when it returns.
  await next('auth');
  const { id } = socket;
  const connected = next('connect');
  socket.io.engine.close();
  await connected;
  return { recovered: socket.recovered, same: socket.id === id, transport: socket.io.engine.transport.name };
}

for (const name of ['Chromium', 'Firefox']) describe(`WebTransport in ${name}`, () => {
  let browser;
  let files;
  let folder;
  before(async () => {
    files = await pages();
    browser = await open(name);
    folder = await mkdtemp(join(tmpdir(), 'certificate-'));
  });
  after(async () => {
    await browser?.browser().close();
    files?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Starts the server, and runs `body` with a page that can load the client. */
  async function serve(env, body) {
    env = { ...SERVER, PORT: await freePort(), CORS_ORIGIN: files.origin, WEBTRANSPORT: '1', ...env };
    let server = await start(program('CONFORMANCE_SERVER'), env);
    const page = await browser.newPage();
    try {
      await page.goto(`${files.origin}/${LATEST}`);
      const hash = env.CERTIFICATE && [...createHash('sha256').update(await readFile(join(folder, 'cert.der'))).digest()];
      await body(page, server.url, hash, async (signal) => {
        await server.stop(signal);
        server = await start(program('CONFORMANCE_SERVER'), env);
      });
    } finally {
      await page.close();
      await server.stop();
    }
  }

  /** `SIGTERM` lets the server close its sessions. A page notices a killed server by the missing pings. */
  for (const [way, transports, signal, heartbeat] of [
    ['directly', ['webtransport'], 'SIGTERM', {}],
    ['by upgrade', ['polling', 'webtransport'], 'SIGTERM', {}],
    ['directly', ['webtransport'], 'SIGKILL', { PING_INTERVAL: '3000', PING_TIMEOUT: '3000' }],
  ]) {
    test(`a page connected ${way} exchanges everything and reconnects after ${signal}`, { timeout: 120_000 }, async () => {
      await serve({ CERTIFICATE: folder, ...heartbeat }, async (page, url, hash, restart) => {
        const final = 'webtransport';
        const result = await page.evaluate(exercise, { url, transports, final, revision: 4, hash });
        assert.deepEqual(result, expected(4, final));
        await restart(signal);
        assert.equal(await page.evaluate(() => window.lost), signal === 'SIGTERM' ? 'transport close' : 'ping timeout');
        assert.equal(await page.evaluate(echo, 'after the restart'), 'after the restart');
      });
    });
  }

  test('a session is recovered', { timeout: 120_000 }, async () => {
    await serve({ CERTIFICATE: folder, RECOVERY: '1' }, async (page, url, hash) => {
      const result = await page.evaluate(recover, { url, hash });
      assert.deepEqual(result, { recovered: true, same: true, transport: 'webtransport' });
    });
  });

  test('the chat page moves to WebTransport', { timeout: 120_000 }, async () => {
    const env = { PORT: await freePort(), WEBTRANSPORT: '1', CLIENT_DIR: dirname(bundle(LATEST)) };
    const server = await start(program('CHAT_SERVER'), env);
    const tabs = [await browser.newPage(), await browser.newPage()];
    try {
      for (const [index, tab] of tabs.entries()) {
        // With all three, a slow machine may finish the upgrade to WebSocket first.
        await tab.goto(`${server.url}/?transports=polling,webtransport`);
        await tab.getByTestId('nickname').fill(`user ${index}`);
        await tab.getByTestId('enter').click();
        await tab.getByTestId('transport').filter({ hasText: /^webtransport$/ }).waitFor();
      }
      await tabs[0].getByTestId('composer').fill('Hello');
      await tabs[0].getByTestId('send').click();
      await tabs[1].getByTestId('message').filter({ hasText: 'Hello' }).waitFor();
      await tabs[0].close();
      await tabs[1].getByTestId('notice').filter({ hasText: /user 0.*left/ }).waitFor();
    } finally {
      await Promise.all(tabs.map((tab) => tab.close()));
      await server.stop();
    }
  });

  test('a page stays on WebSocket if UDP is blocked', { timeout: 120_000 }, async () => {
    await serve({}, async (page, url) => {
      const result = await page.evaluate(exercise, { url, transports: ALL, final: 'websocket', revision: 4 });
      assert.deepEqual(result, expected(4, 'websocket'));
    });
  });
});
