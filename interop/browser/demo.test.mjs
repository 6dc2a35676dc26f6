// The chat demo as its users see it: tabs of a real browser chat with each other.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, afterEach, test } from 'node:test';

import axe from 'axe-core';
import { io } from 'socket.io-client';

import { open } from '../lib/browsers.mjs';
import { event } from '../lib/client.mjs';
import { freePort, program, start } from '../lib/server.mjs';

const PROGRAM = program('CHAT_SERVER');
const CLIENT_DIR = join(dirname(createRequire(import.meta.url).resolve('socket.io-client/package.json')), 'dist');
let browser;
let port;
let server;
/** Errors and warnings on the consoles of the current test's tabs. */
let complaints;
let tabs;

before(async () => {
  browser = await open('Chromium');
});
after(async () => {
  await browser?.browser().close();
});
// Each test has its own server, so that it does not see the messages and nicknames of other tests.
beforeEach(async () => {
  complaints = [];
  tabs = [];
  port = await freePort();
  server = await startServer();
});
afterEach(async () => {
  await Promise.all(tabs.map((tab) => tab.close()));
  await server.stop();
});

function startServer(env = { CLIENT_DIR }) {
  return start(PROGRAM, { PORT: port, CLIENT_DIR: undefined, ...env });
}

/** Opens the page in a tab, without logging in. */
async function visit(query = '') {
  const tab = await browser.newPage();
  tabs.push(tab);
  tab.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  tab.on('pageerror', (error) => complaints.push(String(error)));
  await tab.goto(`http://127.0.0.1:${port}/${query}`);
  return tab;
}

/** A client without a page. */
function client(nickname, tab) {
  return io(`http://127.0.0.1:${port}`, { auth: { nickname, tab }, transports: ['websocket'], forceNew: true });
}

async function logIn(tab, nickname) {
  await tab.getByTestId('nickname').fill(nickname);
  await tab.getByTestId('enter').click();
}

/** Opens a tab and enters the lobby under this nickname. */
async function person(nickname, query) {
  const tab = await visit(query);
  await logIn(tab, nickname);
  await shows(tab, 'status', 'connected');
  return tab;
}

/** Waits until an element has exactly this text. */
async function shows(tab, testId, text) {
  await tab.getByTestId(testId).filter({ hasText: new RegExp(`^${text}$`) }).waitFor();
}

async function say(tab, text) {
  await tab.getByTestId('composer').fill(text);
  await tab.getByTestId('send').click();
}

async function hears(tab, text) {
  await tab.getByTestId('message').filter({ hasText: text }).waitFor();
}

async function pair(query) {
  return [await person('Ada', query), await person('Grace', query)];
}

/** A picture for the screenshots, painted by the browser. */
async function painting(tab) {
  const url = await tab.evaluate(() => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 360, height: 200 });
    const context = canvas.getContext('2d');
    const sky = context.createLinearGradient(0, 0, 0, 200);
    ['#27296d', '#b83b5e', '#f9ed69'].forEach((colour, at) => sky.addColorStop(at / 2, colour));
    context.fillStyle = sky;
    context.fillRect(0, 0, 360, 200);
    context.fillStyle = '#fff6d8';
    context.arc(180, 150, 34, 0, 7);
    context.fill();
    return canvas.toDataURL();
  });
  return Buffer.from(url.split(',')[1], 'base64');
}

test('a message appears once in each tab, and is marked as its own for the sender', async () => {
  const [ada, grace] = await pair();
  await say(ada, 'Hello Grace, é€😀');
  await hears(grace, 'Hello Grace, é€😀');
  await say(grace, 'Hello Ada');
  for (const tab of [ada, grace]) {
    await hears(tab, 'Hello Ada');
    assert.equal(await tab.getByTestId('message').filter({ hasText: 'Hello Ada' }).count(), 1);
  }
  assert.match(await ada.getByTestId('message').filter({ hasText: 'Hello Grace' }).getAttribute('class'), /own/);
  assert.deepEqual(complaints, []);
});

test('markup in a message or nickname stays text', async () => {
  const ada = await person('<b>Ada</b>');
  const grace = await person('Grace');
  await say(ada, '<img src=x onerror=alert(1)>');
  await hears(grace, '<img src=x onerror=alert(1)>');
  assert.equal(await grace.getByTestId('messages').locator('img, b').count(), 0);
  assert.deepEqual(complaints, []);
});

test('a file other than a picture is offered for download', async () => {
  const [ada, grace] = await pair();
  const buffer = Buffer.from('%PDF-1.4 not really');
  await ada.getByTestId('file-input').setInputFiles({ name: 'paper.pdf', mimeType: 'application/pdf', buffer });
  const link = grace.getByTestId('file-link');
  await link.waitFor();
  assert.equal(await link.getAttribute('download'), 'paper.pdf');
  const bytes = await link.evaluate(async (it) => [...new Uint8Array(await (await fetch(it.href)).arrayBuffer())]);
  assert.deepEqual(Buffer.from(bytes), buffer);
});

test('the page refuses a file that is too large', async () => {
  const ada = await person('Ada');
  const buffer = Buffer.alloc(900_001);
  await ada.getByTestId('file-input').setInputFiles({ name: 'huge.bin', mimeType: 'application/octet-stream', buffer });
  await ada.getByTestId('banner').filter({ hasText: 'too large' }).waitFor();
  await shows(ada, 'status', 'connected');
  await ada.getByTestId('banner-close').click();
  await ada.getByTestId('banner').waitFor({ state: 'hidden' });
});

test('a message about a file disappears when the user goes on', async () => {
  const ada = await person('Ada');
  const buffer = Buffer.alloc(900_001);
  await ada.getByTestId('file-input').setInputFiles({ name: 'huge.bin', mimeType: 'application/octet-stream', buffer });
  await ada.getByTestId('banner').filter({ hasText: 'too large' }).waitFor();
  await say(ada, 'never mind');
  await ada.getByTestId('banner').waitFor({ state: 'hidden' });
});

test('a link in a message is a link, and nothing else is', async () => {
  const [ada, grace] = await pair();
  await say(ada, 'See https://socket.io/docs/v4/, or javascript:alert(1).');
  await hears(grace, 'See https://socket.io/docs/v4/, or');
  const links = grace.getByTestId('text').locator('a');
  assert.equal(await links.count(), 1);
  assert.equal(await links.getAttribute('href'), 'https://socket.io/docs/v4/');
  assert.match(await links.getAttribute('rel'), /noopener/);
});

test('a user who is alone is invited to open a second tab', async () => {
  const ada = await person('Ada');
  const [second] = await Promise.all([browser.waitForEvent('page'), ada.getByTestId('second-tab').click()]);
  tabs.push(second);
  await logIn(second, 'Grace');
  await ada.getByTestId('empty').waitFor({ state: 'hidden' });
});

test('the footer shows the transport, the round trip and the node', async () => {
  const ada = await person('Ada');
  await shows(ada, 'transport', 'websocket');
  await shows(ada, 'latency', '\\d+\\.\\d ms');
  await shows(ada, 'nodes', 'node 1');
});

test('a user who is cut off for some seconds misses nothing, also on another node', async () => {
  await server.stop();
  server = await startServer({ CLIENT_DIR, PORT: 0, NODES: '2' });
  port = Number(/:(\d+)/.exec(server.output())[1]);
  const ada = await person('Ada');
  const [grace] = await Promise.all([browser.waitForEvent('page'), ada.getByTestId('node-2').click()]);
  tabs.push(grace);
  await logIn(grace, 'Grace');
  await shows(grace, 'transport', 'websocket');
  await grace.getByTestId('cut').click();
  await shows(grace, 'status', 'reconnecting.*');
  await shows(grace, 'countdown', 'Next attempt in \\d s');
  assert.equal(await grace.getByTestId('send').isDisabled(), true);
  await say(ada, 'said meanwhile');
  await hears(grace, 'said meanwhile');
  await grace.getByTestId('notice').filter({ hasText: 'nothing was missed' }).waitFor();
  assert.equal(await grace.getByTestId('message').filter({ hasText: 'said meanwhile' }).count(), 1);
  assert.equal(await grace.getByTestId('send').isDisabled(), false);
  await say(grace, 'I am back');
  await hears(ada, 'I am back');
  await ada.getByTestId('user').filter({ hasText: 'Grace' }).waitFor();
});

test('a dead server is shown where the user types', async () => {
  const ada = await person('Ada');
  await server.stop('SIGKILL');
  await ada.getByTestId('offline').filter({ hasText: 'The server does not answer' }).waitFor();
  assert.equal(await ada.getByTestId('send').isDisabled(), true);
  server = await startServer();
  await ada.getByTestId('offline').waitFor({ state: 'hidden' });
  await say(ada, 'hello again');
  await hears(ada, 'hello again');
});

for (const colorScheme of ['light', 'dark']) {
  test(`the page has no accessibility violations: ${colorScheme}`, async () => {
    const violations = async (tab) => {
      await tab.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await tab.evaluate(axe.source);
      const found = await tab.evaluate(() => window.axe.run());
      return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
    };
    const login = await visit();
    assert.deepEqual(await violations(login), []);
    const [ada, grace] = await pair();
    await say(ada, 'See https://socket.io/.');
    await say(grace, 'I do.');
    await hears(grace, 'See');
    await hears(ada, 'I do');
    assert.deepEqual(await violations(ada), []);
    await ada.setViewportSize({ width: 390, height: 780 });
    await ada.getByRole('button', { name: 'Rooms and people' }).click();
    assert.deepEqual(await violations(ada), []);
    await ada.keyboard.press('Escape');
    await server.stop('SIGKILL');
    await ada.getByTestId('offline').waitFor();
    assert.deepEqual(await violations(ada), []);
    server = await startServer();
  });
}

test('a file close to the size limit arrives over polling', async () => {
  const [ada, grace] = await pair('?transports=polling');
  // Base64 makes it a third longer. It must still fit the payload limit.
  const buffer = Buffer.alloc(700_000, 5);
  await ada.getByTestId('file-input').setInputFiles({ name: 'big.bin', mimeType: 'application/octet-stream', buffer });
  await grace.getByTestId('file-link').waitFor();
});

test('each room has its own messages and counts the unread ones', async () => {
  const [ada, grace] = await pair();
  for (const tab of [ada, grace]) {
    await tab.getByTestId('new-room').fill('tea');
    await tab.getByTestId('create-room').click();
    await shows(tab, 'title', 'tea');
  }
  await grace.getByTestId('room-lobby').click();
  await say(ada, 'only in tea');
  await hears(ada, 'only in tea');
  await shows(grace, 'unread-tea', '1');
  assert.equal(await grace.getByTestId('message').filter({ hasText: 'only in tea' }).count(), 0);
  await grace.getByTestId('room-tea').click();
  await hears(grace, 'only in tea');
  assert.equal(await grace.getByTestId('unread-tea').count(), 0);
});

test('a late user sees earlier messages', async () => {
  const ada = await person('Ada');
  await say(ada, 'said early');
  await hears(ada, 'said early');
  await hears(await person('Grace'), 'said early');
});

test('the typing indicator appears, and disappears with the message', async () => {
  const [ada, grace] = await pair();
  await ada.getByTestId('composer').pressSequentially('Hel');
  await shows(grace, 'typing', 'Ada is typing…');
  await ada.getByTestId('send').click();
  await shows(grace, 'typing', '');
});

test('online users are listed until their tab closes', async () => {
  const [ada, grace] = await pair();
  await ada.getByTestId('user').filter({ hasText: 'Grace' }).waitFor();
  await ada.getByTestId('user').filter({ hasText: 'Ada (you)' }).waitFor();
  // If a tab closes between its last GET and the end of the upgrade, no open connection reveals it.
  // As with Node's server, only the heartbeat does.
  await shows(grace, 'transport', 'websocket');
  await grace.close();
  await ada.getByTestId('user').filter({ hasText: 'Grace' }).waitFor({ state: 'detached' });
  await ada.getByTestId('notice').filter({ hasText: /Grace.*left/ }).waitFor();
});

test('an empty or taken nickname is refused with a reason', async () => {
  await person('Ada');
  const other = await visit();
  await logIn(other, '');
  await other.getByTestId('login-error').filter({ hasText: /\w/ }).waitFor();
  await logIn(other, 'Ada');
  await other.getByTestId('login-error').filter({ hasText: /taken/i }).waitFor();
  await logIn(other, 'Grace');
  await shows(other, 'status', 'connected');
});

test('the nickname survives a reload', async () => {
  const ada = await person('Ada');
  await ada.reload();
  await shows(ada, 'status', 'connected');
  await ada.getByTestId('user').filter({ hasText: 'Ada (you)' }).waitFor();
});

test('users who enter at the same moment are all in the lobby', async () => {
  const people = Array.from({ length: 40 }, (_, n) => client(`Person ${n}`));
  const answers = await Promise.all(people.map((it) => it.timeout(60_000).emitWithAck('join', 'lobby')));
  for (const it of people) it.disconnect();
  assert.deepEqual(answers.filter(({ ok }) => !ok), []);
});

test('a tab whose old session still lives takes its nickname over', async () => {
  const old = client('Ada', 'key');
  await event(old, 'connect');
  const other = client('Ada', 'another key');
  assert.equal((await event(other, 'connect_error'))[0].message, 'this nickname is taken');
  const gone = event(old, 'disconnect');
  const fresh = client('ada', 'key');
  await event(fresh, 'connect');
  assert.equal((await gone)[0], 'io server disconnect');
  assert.equal((await fresh.emitWithAck('join', 'lobby')).ok, true);
  for (const it of [other, fresh]) it.disconnect();
});

test('a page without a local client loads the public one and shows a notice', async () => {
  await server.stop();
  server = await startServer({});
  await browser.route('https://cdn.socket.io/**', (route) => route.fulfill({ path: join(CLIENT_DIR, 'socket.io.min.js') }));
  const ada = await person('Ada');
  await ada.getByTestId('banner').filter({ hasText: 'cdn.socket.io' }).waitFor();
  await browser.unroute('https://cdn.socket.io/**');
});

test('the page fits a desktop and a phone', async () => {
  const [ada, grace] = await pair();
  await say(ada, 'Shall we meet at the engine?');
  await hears(grace, 'Shall we meet');
  await say(grace, 'At four. I will bring the moth.');
  await hears(ada, 'At four');
  await ada.getByTestId('file-input').setInputFiles({ name: 'sunset.png', mimeType: 'image/png', buffer: await painting(ada) });
  await grace.getByTestId('file-image').evaluate((image) => image.decode());
  const folder = process.env.ARTIFACTS ?? '.';
  await grace.screenshot({ animations: 'disabled', path: join(folder, 'chat.png') });
  await grace.setViewportSize({ width: 390, height: 780 });
  await grace.emulateMedia({ colorScheme: 'dark' });
  const overflow = await grace.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(overflow, false, 'the page must not scroll sideways');
  await grace.screenshot({ animations: 'disabled', path: join(folder, 'chat-phone.png') });
});
