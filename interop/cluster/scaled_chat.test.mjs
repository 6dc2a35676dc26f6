// The example of a chat on two nodes behind nginx, as its script starts it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';

import { client, closeAll, event } from '../lib/client.mjs';
import { eventually } from '../lib/cluster.mjs';
import { freePort, program, start } from '../lib/server.mjs';

const FOLDER = program('SCALED_CHAT');
let chat;

before(async () => {
  const ports = { REDIS_PORT: await freePort(), ONE: await freePort(), TWO: await freePort() };
  const env = { ...ports, INTERVAL: '0.2', PROGRAM: program('SCALED_CHAT_PROGRAM') };
  chat = await start('sh', env, [join(FOLDER, 'run.sh')], /open http/);
});
afterEach(closeAll);
after(() => chat.stop());

/** Connects clients until each node has one. */
async function oneOnEach() {
  const found = {};
  await eventually(async () => {
    const socket = client(chat, { transports: ['websocket'] });
    const [name] = await event(socket, 'node');
    found[name] ??= socket;
    return found.one && found.two;
  }, 'both nodes have clients');
  return found;
}

test('nginx serves the page', async () => {
  const page = await eventually(() => fetch(chat.url).then((response) => response.text(), () => ''), 'nginx listens');
  assert.equal(page, readFileSync(join(FOLDER, 'index.html'), 'utf8'));
});

test('a message reaches the clients of both nodes', async () => {
  const { one, two } = await oneOnEach();
  const heard = { one: [], two: [] };
  one.on('said', (...message) => heard.one.push(message));
  two.on('said', (...message) => heard.two.push(message));
  assert.equal(await one.timeout(60_000).emitWithAck('say', 'ann', 'hello'), 'one');
  const has = (messages) => messages.some(([from, text]) => from === 'ann' && text === 'hello');
  await eventually(() => has(heard.one) && has(heard.two), 'both have heard it');
});

test('the worker reaches the clients of both nodes', async () => {
  const { one, two } = await oneOnEach();
  for (const socket of [one, two]) {
    const messages = [];
    socket.on('said', (from) => messages.push(from));
    await eventually(() => messages.includes('worker'), 'the worker is heard');
  }
});
