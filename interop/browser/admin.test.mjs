// The page of the npm package @socket.io/admin-ui against our server: what it shows, and what it does.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, extname, join, normalize } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import bcrypt from 'bcryptjs';
import { chromium } from 'playwright-core';
import { io } from 'socket.io-client';

import { open as launch } from '../lib/browsers.mjs';
import { freePort, program, start } from '../lib/server.mjs';

const PROGRAM = program('ADMIN_SERVER');
const PAGE = join(dirname(createRequire(import.meta.url).resolve('@socket.io/admin-ui/package.json')), 'ui/dist');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png' };
const PASSWORD = 'correct horse';

let browser;
/** The server of the page's files. */
let files;
let server;
let clients;

before(async () => {
  browser = await launch('Chromium', { width: 1280, height: 800 });
  files = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://page').pathname);
    try {
      const file = await readFile(join(PAGE, path === '/' ? 'index.html' : path));
      response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? (path === '/' ? 'text/html' : 'application/octet-stream') });
      response.end(file);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => files.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  await browser?.browser().close();
  files?.close();
});
beforeEach(() => {
  clients = [];
});
afterEach(async () => {
  clients.forEach((client) => client.disconnect());
  await Promise.all(browser.pages().map((page) => page.close()));
  await server?.stop();
});

async function startServer(env = {}) {
  const PORT = await freePort();
  server = await start(PROGRAM, { PORT, ADMIN_ORIGIN: `http://127.0.0.1:${files.address().port}`, ...env });
  return server;
}

function client(namespace = '/', options = {}) {
  const it = io(server.url + namespace, { forceNew: true, ...options });
  clients.push(it);
  return it;
}

const connected = (socket) => new Promise((resolve) => socket.once('connect', resolve));
const received = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));

/** Opens the page and connects it to the server. */
async function open({ username, password } = {}) {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${files.address().port}/`);
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await logIn(page, { username, password });
  return page;
}

async function logIn(page, { username, password } = {}) {
  const dialog = page.locator('.v-dialog--active');
  await dialog.getByLabel('Server URL').fill(server.url);
  if (username) {
    await dialog.getByLabel('Username').fill(username);
    await dialog.getByLabel('Password').fill(password);
  }
  await dialog.getByRole('button', { name: 'Connect' }).click();
}

/** Goes to a section of the page, by its link in the menu. */
async function go(page, section) {
  await page.locator('.v-navigation-drawer').getByText(section, { exact: true }).click();
}

/** A word in a colored frame. The page shows it in capitals. */
const chip = (page, text) => page.locator('.v-chip').getByText(new RegExp(`^\\s*${text}\\s*$`, 'i')).first();

/** A row of the table with this text. */
const row = (page, text) => page.locator('tr').filter({ hasText: text });

test('the page shows clients, namespaces, sockets, rooms and events', async () => {
  await startServer();
  const one = client('/', { transports: ['websocket'] });
  await connected(one);
  const page = await open();
  await chip(page, 'connected').waitFor();
  await chip(page, 'healthy').waitFor();
  for (const namespace of ['/', '/chat', '/admin']) await page.locator('code').getByText(namespace, { exact: true }).waitFor();
  const two = client('/', { transports: ['polling'] });
  await connected(two);
  await page.waitForTimeout(2500); // statistics follow every two seconds
  await page.screenshot({ path: join(process.env.ARTIFACTS ?? tmpdir(), 'admin.png') });
  await go(page, 'Sockets');
  await row(page, one.id).filter({ hasText: 'WebSocket' }).waitFor();
  await row(page, two.id).filter({ hasText: 'HTTP long-polling' }).waitFor();
  await go(page, 'Rooms');
  await row(page, 'lobby').filter({ hasText: '2' }).waitFor();
  await go(page, 'Events');
  const echoed = received(one, 'echo');
  one.emit('echo', 'hi', Buffer.from([1]));
  await echoed;
  await row(page, one.id).filter({ hasText: 'Event received' }).filter({ hasText: 'echo' }).waitFor();
  await row(page, one.id).filter({ hasText: 'Event sent' }).filter({ hasText: 'echo' }).waitFor();
  await go(page, 'Sockets');
  const left = row(page, two.id).filter({ hasText: '127.0.0.1' });
  await left.waitFor();
  two.disconnect();
  await left.waitFor({ state: 'detached' });
});

test('the page disconnects a socket', async () => {
  await startServer();
  const one = client();
  await connected(one);
  const page = await open();
  await chip(page, 'connected').waitFor();
  await go(page, 'Sockets');
  const gone = received(one, 'disconnect');
  await row(page, one.id).getByRole('button').click();
  assert.deepEqual((await gone)[0], 'io server disconnect');
});

test('the page sees an upgrade', async () => {
  await startServer();
  await connected(client()); // the page begins with the namespace of the first socket
  const page = await open();
  await chip(page, 'connected').waitFor();
  await go(page, 'Sockets');
  const one = client('/', { transports: ['polling', 'websocket'] });
  await connected(one);
  await row(page, one.id).filter({ hasText: 'WebSocket' }).waitFor();
});

test('the page logs in with a password, and returns with its session', async () => {
  await startServer({ ADMIN_PASSWORD_HASH: bcrypt.hashSync(PASSWORD, 4) });
  const page = await open({ username: 'admin', password: 'wrong' });
  await page.getByText('invalid credentials').waitFor();
  await logIn(page, { username: 'admin', password: PASSWORD });
  await chip(page, 'connected').waitFor();
  await page.waitForFunction(() => JSON.stringify({ ...localStorage }).includes('session'));
  await page.reload();
  await chip(page, 'connected').waitFor();
});

test('in production mode the page shows counts only', async () => {
  await startServer({ PRODUCTION: '1' });
  const page = await open();
  await chip(page, 'connected').waitFor();
  await chip(page, 'healthy').waitFor();
  assert.equal(await page.locator('.v-navigation-drawer').getByText('Events', { exact: true }).count(), 0);
});
