// The JavaScript of the guide's chapter on coming from Node, run against Node's own packages, and the ported application, run
// as Node's program and as ours.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { Server } from 'socket.io';
import { Manager, io as connect } from 'socket.io-client';

import { client, closeAll, event, upgraded } from '../lib/client.mjs';
import { freePort, program, start } from '../lib/server.mjs';

const GUIDE = program('GUIDE');
const CHAPTER = readFileSync(join(GUIDE, 'src/coming-from-node.md'), 'utf8');
const AsyncFunction = (async () => {}).constructor;

/** The code blocks of a chapter whose fence has these words, each with its line. */
const blocks = (words, chapter = CHAPTER) =>
  [...chapter.matchAll(new RegExp(`^\`\`\`${words}\\n([^]*?)^\`\`\``, 'gm'))].map(({ 1: code, index }) => ({
    code,
    line: chapter.slice(0, index).split('\n').length,
  }));

let node;
before(async () => {
  const http = createServer().listen(0, '127.0.0.1');
  await once(http, 'listening');
  const io = new Server(http, { connectionStateRecovery: {} });
  // Answers whatever the blocks of the client ask, with its last argument.
  for (const nsp of [io, io.of('/chat')]) {
    nsp.on('connection', (socket) => socket.onAny((_, ...args) => typeof args.at(-1) === 'function' && args.at(-1)('ok')));
  }
  node = { io, url: `http://127.0.0.1:${http.address().port}` };
});
after(() => node?.io.close());
afterEach(closeAll);

test('the chapter has code for server and client', () => {
  assert.ok(blocks('js server').length >= 10);
  assert.ok(blocks('js client').length >= 4);
});

for (const { code, line } of blocks('js server')) {
  test(`the server's code in line ${line} runs on Node`, async () => {
    const io = new Server();
    const http = createServer().listen(0, '127.0.0.1');
    await once(http, 'listening');
    io.attach(http);
    try {
      const socket = client({ url: `http://127.0.0.1:${http.address().port}` });
      // Answers every event of the server that asks for an ack.
      socket.onAny((_, ...args) => typeof args.at(-1) === 'function' && args.at(-1)('ok'));
      const [served] = await once(io, 'connection');
      await new AsyncFunction('io', 'socket', 'Server', code)(io, served, Server);
    } finally {
      io.close();
    }
  });
}

for (const { code, line } of blocks('js client')) {
  test(`the client's code in line ${line} runs on Node`, async () => {
    const socket = client(node);
    await event(socket, 'connect');
    const opened = [];
    const io = (url, options) => opened[opened.push(connect(url, options)) - 1];
    // A client that is closed while it opens keeps the timer of its heartbeat; `autoUnref` lets the process
    // end before.
    class Unrefd extends Manager {
      constructor(url, options) {
        super(url, { ...options, autoUnref: true });
      }
    }
    try {
      await new AsyncFunction('io', 'socket', 'url', 'Manager', code)(io, socket, node.url, Unrefd);
      // Otherwise some would be closed while they connect.
      await Promise.all(opened.map((other) => other.connected || event(other, 'connect')));
    } finally {
      opened.forEach((other) => other.disconnect());
    }
  });
}

test('the chapter shows both programs as they are tested', () => {
  for (const file of ['ported_chat.mjs', 'ported_chat.rs']) {
    const text = readFileSync(join(GUIDE, 'examples', file), 'utf8');
    assert.ok(CHAPTER.includes(text.replace(/^\/\/!.*\n\n?/gm, '')), `${file} differs from the chapter`);
  }
});

for (const language of ['Node', 'Rust']) {
  test(`the ported application in ${language} behaves as the guide says`, async () => {
    const copy = resolve('ported_chat.mjs');
    copyFileSync(join(GUIDE, 'examples/ported_chat.mjs'), copy);
    const server = await (language === 'Node' ? start(process.execPath, {}, [copy]) : start(program('PORTED_CHAT')));
    try {
      const [refusal] = await event(client(server), 'connect_error');
      assert.equal(refusal.message, 'a name is needed');
      assert.deepEqual(refusal.data, { field: 'name' });

      const ann = client(server, { auth: { name: 'ann' } });
      await event(ann, 'connect');
      const joining = event(ann, 'user joined');
      const bob = client(server, { auth: { name: 'bob' } });
      assert.deepEqual(await joining, ['bob', 2]);

      const ask = (socket, ...args) => socket.timeout(60_000).emitWithAck(...args);
      assert.deepEqual(await ask(ann, 'join', 'lobby'), ['lobby']);
      assert.deepEqual(await ask(bob, 'say', 'lobby', 'too early'), { error: 'join the room first' });
      const joined = event(ann, 'joined');
      await ask(bob, 'join', 'lobby');
      assert.deepEqual(await joined, ['lobby', 'bob']);

      const said = event(ann, 'said');
      assert.deepEqual(await ask(bob, 'say', 'lobby', 'hello'), { ok: true });
      assert.deepEqual(await said, [{ room: 'lobby', name: 'bob', text: 'hello' }]);
      assert.deepEqual(await ask(bob, 'who'), ['ann', 'bob']);

      const left = event(ann, 'left');
      const gone = event(ann, 'user left');
      bob.disconnect();
      assert.deepEqual(await left, ['lobby', 'bob']);
      assert.deepEqual(await gone, ['bob']);
    } finally {
      closeAll();
      await server.stop();
    }
  });
}

test("the guide's client connects again with a fresh token", async () => {
  const [{ code }] = blocks('js client', readFileSync(join(GUIDE, 'src/authentication.md'), 'utf8'));
  const server = new Server();
  const http = createServer().listen(0, '127.0.0.1');
  await once(http, 'listening');
  server.attach(http);
  server.use(({ handshake }, next) => {
    const error = Object.assign(new Error('not authorized'), { data: { code: 'token invalid' } });
    next(handshake.auth.token === 'fresh' ? undefined : error);
  });
  const tokens = ['stale', 'fresh'];
  const io = (options) => client({ url: `http://127.0.0.1:${http.address().port}` }, options);
  try {
    const connection = once(server, 'connection');
    new AsyncFunction('io', 'freshToken', code)(io, async () => tokens.shift());
    const [socket] = await connection;
    assert.equal(socket.handshake.auth.token, 'fresh');
  } finally {
    closeAll();
    server.close();
  }
});

test("the guide's configuration of nginx passes polling, WebSocket and the upgrade on", async () => {
  const [{ code }] = blocks('nginx', readFileSync(join(GUIDE, 'src/deploying.md'), 'utf8'));
  const port = await freePort();
  const server = await start(program('PORTED_CHAT'));
  const folder = mkdtempSync(join(tmpdir(), 'nginx-'));
  const site = code
    .replaceAll(/^.*ssl_certificate.*\n/gm, '')
    .replace('listen 443 ssl', `listen 127.0.0.1:${port}`)
    .replace('127.0.0.1:3000', `127.0.0.1:${server.port}`);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`);
  writeFileSync(join(folder, 'nginx.conf'), `pid ${folder}/pid; events {} http { access_log off; ${paths.join(' ')}\n${site} }`);
  const args = ['-e', 'stderr', '-p', folder, '-c', join(folder, 'nginx.conf'), '-g', 'daemon off; master_process off;'];
  const nginx = spawn(program('NGINX_SERVER'), args, { stdio: ['ignore', 2, 2] });
  try {
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
      // The client tries again until nginx listens.
      const socket = client({ url: `http://127.0.0.1:${port}` }, { transports, auth: { name: 'ann' } });
      await event(socket, 'connect');
      if (transports.length === 2) await upgraded(socket);
      assert.deepEqual(await socket.timeout(60_000).emitWithAck('join', 'lobby'), ['lobby']);
      socket.disconnect();
    }
  } finally {
    closeAll();
    nginx.kill();
    await Promise.all([once(nginx, 'exit'), server.stop()]);
    rmSync(folder, { recursive: true });
  }
});
