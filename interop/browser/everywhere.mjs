// The tests that run in each browser: the chat demo, and a page of another origin that exercises the
// conformance server.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { open } from '../lib/browsers.mjs';
import { freePort, program, start } from '../lib/server.mjs';

const require = createRequire(import.meta.url);
export const LATEST = 'socket.io-client';
export const WAYS = {
  'polling, then upgrade': { transports: ['polling', 'websocket'], final: 'websocket' },
  'WebSocket only': { transports: ['websocket'], final: 'websocket' },
  'polling only': { transports: ['polling'], final: 'polling' },
};
/** The payload of a request must hold 1 MiB in base64. */
export const SERVER = { ALLOW_EIO3: '1', PING_INTERVAL: '25000', PING_TIMEOUT: '20000', MAX_PAYLOAD: '3000000' };
/** A red square of 8 × 8 pixels. */
const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC',
  'base64',
);

/** The built file of a client, as pages load it. */
export function bundle(client) {
  return join(dirname(require.resolve(`${client}/package.json`)), 'dist/socket.io.js');
}

/** Serves `/NAME`: a page that loads the client of this name. */
export async function pages() {
  const server = createServer(async (request, response) => {
    const [, client, file] = request.url.split('/');
    try {
      response.setHeader('content-type', file ? 'text/javascript' : 'text/html; charset=utf-8');
      response.end(file ? await readFile(bundle(client)) : `<!doctype html><title>${client}</title><script src="/${client}/client.js"></script>`);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** Runs in the page. Connects to the conformance server and returns what came back. */
export async function exercise({ url, transports, final, revision, hash }) {
  const patience = 60_000;
  const result = {};
  const within = (start) =>
    new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`timed out after ${JSON.stringify(result)}`)), patience);
      start((...values) => resolve(values));
    });
  const event = (emitter, name) => within((done) => emitter.once(name, done));
  const bytes = (value) => Array.from(new Uint8Array(value));
  const options = { transports, forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 500 };
  if (hash) {
    const serverCertificateHashes = [{ algorithm: 'sha-256', value: new Uint8Array(hash) }];
    options.transportOptions = { webtransport: { serverCertificateHashes } };
  }
  const socket = window.io(url, { ...options, auth: { token: 'é€😀' } });
  window.socket = socket;
  window.lost = new Promise((resolve) => socket.once('disconnect', resolve));
  [result.auth] = await event(socket, 'auth');
  const { engine } = socket.io;
  if (engine.transport.name !== final) await event(engine, 'upgrade');
  result.transport = engine.transport.name;

  const sent = [1, -0.5, 'é€😀\u2028', '', null, true, [], { three: [{ 'é': '€' }] }];
  socket.emit('message', ...sent);
  result.values = JSON.stringify(await event(socket, 'message-back')) === JSON.stringify(sent);

  // Over WebTransport, this client cannot send an empty buffer, and a Blob is overtaken by the next attachment.
  const deep =
    final === 'webtransport'
      ? [new TextEncoder().encode('4hello').buffer, new ArrayBuffer(1)]
      : [new Blob(['4hello']), new ArrayBuffer(0)];
  socket.emit('message', new Uint8Array([0, 255, 30]).buffer, { deep });
  const [first, back] = await event(socket, 'message-back');
  result.binary = [bytes(first), ...back.deep.map(bytes)];

  result.ack = await within((done) => socket.emit('message-with-ack', 'one', { two: 2 }, done));
  socket.emit('emit-with-ack', 'question');
  const [question, ack] = await event(socket, 'emit-with-ack');
  ack(question, 'answer');
  result.acknowledged = await event(socket, 'emit-with-ack');

  const custom = socket.io.socket('/custom', { auth: { token: 1 } });
  [result.custom] = await event(custom, 'auth');
  const random = socket.io.socket('/random');
  const [error] = await event(random, revision === 3 ? 'error' : 'connect_error');
  result.refused = error.message ?? error;

  const large = new Uint8Array(1024 * 1024).map((_, index) => index * 7);
  const text = '€'.repeat(350_000);
  // A v2 client takes only ArrayBuffers and Blobs for binary data.
  socket.emit('message', large.buffer, text);
  const [copy, same] = await event(socket, 'message-back');
  result.large = new Uint8Array(copy).every((byte, index) => byte === large[index]) && copy.byteLength === large.length && same === text;
  return result;
}

/** The result of `exercise`. */
export function expected(revision, transport) {
  return {
    auth: revision === 3 ? {} : { token: 'é€😀' },
    transport,
    values: true,
    binary: [[0, 255, 30], Array.from(Buffer.from('4hello')), transport === 'webtransport' ? [0] : []],
    ack: ['one', { two: 2 }],
    acknowledged: ['question', 'answer'],
    custom: revision === 3 ? {} : { token: 1 },
    refused: 'Invalid namespace',
    large: true,
  };
}

/** Runs in the page. Waits until the socket has lost its server and found another, and gets a message back. */
export async function echo(text) {
  const { socket, lost } = window;
  await lost;
  const deadline = Date.now() + 60_000;
  while (!socket.connected && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
  if (!socket.connected) throw new Error('not connected');
  const back = new Promise((resolve) => socket.once('message-back', resolve));
  socket.emit('message', text);
  return back;
}

/** Runs in the page. Waits until an element has a text, and, for a picture, until it is decoded. Returns the width. */
async function shown({ testId, pattern, width }) {
  const matches = (element) => new RegExp(pattern).test(element.textContent.trim()) && (!width || element.naturalWidth === width);
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    const found = [...document.querySelectorAll(`[data-testid="${testId}"]`)].filter(matches);
    if (found.length > 0) return found.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no ${testId} with ${pattern}: ${document.body.innerText}`);
}

/** Runs in the page. Sends messages over a plain WebSocket to the Engine.IO server, which returns them. */
async function compressed(url) {
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
}

/** Declares the tests of one browser with these versions of the client. */
export function everywhere(name, clients = [LATEST]) {
  describe(name, () => {
    let browser;
    let files;
    before(async () => {
      files = await pages();
      browser = await open(name);
    });
    after(async () => {
      await browser?.browser().close();
      files?.close();
    });

    for (const client of clients) conformance(client, () => ({ browser, files }));
    chat(() => browser);
    deflate(name, () => browser);
  });
}

/** The page of another origin: credentials, values, binary data, acks, namespaces, large messages and a restart of the server. */
function conformance(client, context) {
  const { version } = require(`${client}/package.json`);
  const revision = version.startsWith('2.') ? 3 : 4;
  for (const [way, { transports, final }] of Object.entries(WAYS)) {
    test(`client ${version} exchanges everything and reconnects: ${way}`, async () => {
      const { browser, files } = context();
      const env = { ...SERVER, PORT: await freePort(), CORS_ORIGIN: files.origin };
      let server = await start(program('CONFORMANCE_SERVER'), env);
      const page = await browser.newPage();
      try {
        await page.goto(`${files.origin}/${client}`);
        const result = await page.evaluate(exercise, { url: server.url, transports, final, revision });
        assert.deepEqual(result, expected(revision, final));
        await server.stop('SIGKILL');
        server = await start(program('CONFORMANCE_SERVER'), env);
        assert.equal(await page.evaluate(echo, 'after the restart'), 'after the restart');
      } finally {
        await page.close();
        await server.stop();
      }
    });
  }
}

function chat(browser) {
  for (const [way, { transports, final }] of Object.entries(WAYS)) {
    test(`two tabs chat, send a picture and survive a restart of the server: ${way}`, async () => {
      const env = { PORT: await freePort(), CLIENT_DIR: dirname(bundle(LATEST)) };
      let server = await start(program('CHAT_SERVER'), env);
      const complaints = [];
      const [ada, grace] = [await browser().newPage(), await browser().newPage()];
      const sees = (tab, testId, pattern, width) => tab.evaluate(shown, { testId, pattern, width });
      try {
        for (const [tab, nickname] of [[ada, 'Ada'], [grace, 'Grace']]) {
          tab.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
          tab.on('pageerror', (error) => complaints.push(String(error)));
          await tab.goto(`${server.url}/?transports=${transports}`);
          await tab.getByTestId('nickname').fill(nickname);
          await tab.getByTestId('enter').click();
          await sees(tab, 'status', '^connected$');
          await sees(tab, 'transport', `^${final}$`);
        }
        const say = async (tab, text) => {
          await tab.getByTestId('composer').fill(text);
          await tab.getByTestId('send').click();
        };
        await say(ada, 'Hello Grace, é€');
        // Each message appears once, also for the sender.
        for (const tab of [ada, grace]) assert.equal(await sees(tab, 'message', 'Hello Grace, é€'), 1);
        await ada.getByTestId('file-input').setInputFiles({ name: 'red.png', mimeType: 'image/png', buffer: PICTURE });
        await sees(grace, 'file-image', '', 8);
        assert.deepEqual(complaints, []);
        await server.stop('SIGKILL');
        for (const tab of [ada, grace]) await sees(tab, 'status', '^reconnecting');
        server = await start(program('CHAT_SERVER'), env);
        for (const tab of [ada, grace]) {
          await sees(tab, 'status', '^connected$');
          await sees(tab, 'transport', `^${final}$`);
        }
        await say(ada, 'back again');
        await sees(grace, 'message', 'back again');
      } finally {
        await Promise.all([ada.close(), grace.close()]);
        await server.stop();
      }
    });
  }
}

/** Browsers offer `permessage-deflate` on every WebSocket. Firefox does not show its parameters. */
function deflate(name, browser) {
  for (const [setting, extensions] of [
    ['0', ''],
    ['1', 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'],
    ['contexts', 'permessage-deflate'],
  ]) {
    test(`a WebSocket negotiates ${extensions || 'no extension'}`, async () => {
      const server = await start(program('CONFORMANCE_SERVER'), { ...SERVER, PER_MESSAGE_DEFLATE: setting });
      const page = await browser().newPage();
      try {
        const url = `ws://127.0.0.1:${server.port}/engine.io/?EIO=4&transport=websocket`;
        const shown = name === 'Firefox' ? extensions.split(';')[0] : extensions;
        assert.deepEqual(await page.evaluate(compressed, url), { extensions: shown, equal: true });
      } finally {
        await page.close();
        await server.stop();
      }
    });
  }
}
