// permessage-deflate with a real browser, which offers it on every WebSocket.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { program, start } from '../lib/server.mjs';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'];

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: program('CHROMIUM'), headless: true, args: FLAGS });
});
after(() => browser?.close());

/** Echoes long and short messages in a page. Returns the agreed extensions and whether the echoes are equal. */
async function exchange(port) {
  const page = await browser.newPage();
  const url = `ws://127.0.0.1:${port}/engine.io/?EIO=4&transport=websocket`;
  const result = page.evaluate(async (url) => {
    const messages = ['4short', `4${'€ long '.repeat(20_000)}`, '4short', `4${'€ long '.repeat(20_000)}`];
    const ws = new WebSocket(url);
    const got = [];
    await new Promise((resolve, reject) => {
      ws.onclose = () => reject(new Error('closed'));
      ws.onopen = () => messages.forEach((message) => ws.send(message));
      ws.onmessage = ({ data }) => {
        if (data[0] === '4' && got.push(data) === messages.length) resolve();
      };
    });
    return { extensions: ws.extensions, equal: got.every((message, n) => message === messages[n]) };
  }, url);
  return result.finally(() => page.close());
}

for (const [setting, extensions] of [
  ['0', ''],
  ['1', 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'],
  ['contexts', 'permessage-deflate'],
]) {
  test(`Chromium negotiates ${extensions || 'no extension'}`, async () => {
    const env = { PING_INTERVAL: '25000', PING_TIMEOUT: '20000', PER_MESSAGE_DEFLATE: setting };
    const server = await start(program('CONFORMANCE_SERVER'), env);
    try {
      assert.deepEqual(await exchange(server.port), { extensions, equal: true });
    } finally {
      await server.stop();
    }
  });
}
