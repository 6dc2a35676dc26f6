// The applications among the examples, with the JavaScript client as their page, and the client's examples
// with Node's server.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { Server } from 'socket.io';

import { client, closeAll, connected, event } from '../lib/client.mjs';
import { eventually } from '../lib/cluster.mjs';
import { program, start } from '../lib/server.mjs';

const FOLDER = program('EXAMPLES');
const CLIENT_DIR = join(dirname(createRequire(import.meta.url).resolve('socket.io-client/package.json')), 'dist');
const example = (name, ...rest) => start(join(FOLDER, name), ...rest);

/** Starts an example for the tests of a group, and checks that it serves its page. */
function served(name, env) {
  const server = {};
  test('serves its page and the client for it', async () => {
    Object.assign(server, await example(name, { CLIENT_DIR, ...env }));
    const page = await (await fetch(server.url)).text();
    const [, script] = /<script src="(.+?)">/.exec(page);
    assert.equal((await fetch(new URL(script, server.url))).status, 200);
  });
  after(() => server.stop?.());
  return server;
}

afterEach(closeAll);

describe('private messages', () => {
  const server = served('private_messages');
  const user = async (name) => {
    const socket = client(server, { auth: { name } });
    const [users] = await event(socket, 'users');
    return { socket, users };
  };

  test('reach each tab of both users, and nobody else', async () => {
    const { socket: ann } = await user('ann');
    const { socket: tab } = await user('ann');
    const { socket: bob } = await user('bob');
    const { socket: eve, users } = await user('eve');
    assert.deepEqual(users, ['ann', 'bob', 'eve']);
    const heard = [];
    eve.on('private', () => heard.push('eve'));
    const both = [event(tab, 'private'), event(bob, 'private')];
    ann.emit('private', 'bob', 'hello');
    for (const message of await Promise.all(both)) assert.deepEqual(message, ['ann', 'bob', 'hello']);
    const reply = event(eve, 'private');
    bob.emit('private', 'eve', 'psst');
    await reply;
    assert.deepEqual(heard, ['eve']);
  });
  test('show a user as online while a tab is open', async () => {
    const { socket: ann } = await user('ann');
    const online = [];
    ann.on('online', (name) => online.push(name));
    const { socket: first } = await user('bob');
    const { socket: second } = await user('bob');
    first.disconnect();
    const offline = event(ann, 'offline');
    second.disconnect();
    assert.deepEqual(await offline, ['bob']);
    assert.deepEqual(online, ['bob']);
  });
  test('need a name', async () => {
    const [error] = await event(client(server, { auth: { name: ' ' } }), 'connect_error');
    assert.match(error.message, /1 to 40 bytes/);
  });
});

describe('the whiteboard', () => {
  const server = served('whiteboard');
  const line = (x) => ({ from: [x, 0], to: [x, 1], color: [1, 2, 3] });

  test('shows lines to everybody, also to those who come later', async () => {
    const [ann, bob] = [await connected(server), await connected(server)];
    const drawn = event(bob, 'draw');
    ann.emit('draw', [line(0), line(0.5)]);
    assert.deepEqual(await drawn, [[line(0), line(0.5)]]);
    const late = client(server);
    assert.deepEqual(await event(late, 'board'), [[line(0), line(0.5)]]);
    const cleared = event(ann, 'board');
    late.emit('clear');
    assert.deepEqual(await cleared, [[]]);
  });
  test('shows pointers until their users leave', async () => {
    const [ann, bob] = [await connected(server), await connected(server)];
    const { id } = bob;
    const pointer = event(ann, 'pointer');
    const repeated = setInterval(() => bob.emit('pointer', 0.25, 0.75), 20);
    assert.deepEqual(await pointer, [id, 0.25, 0.75]);
    clearInterval(repeated);
    const gone = event(ann, 'pointer gone');
    bob.disconnect();
    assert.deepEqual(await gone, [id]);
  });
  test('refuses too many lines at once', async () => {
    const ann = await connected(server);
    const { error } = await ann.timeout(60_000).emitWithAck('draw', Array(501).fill(line(0)));
    assert.equal(error, 'too many lines at once');
  });
});

describe('the upload', () => {
  const UPLOADS = mkdtempSync(join(tmpdir(), 'uploads-'));
  after(() => rmSync(UPLOADS, { recursive: true }));
  const server = served('upload', { UPLOADS });

  test('acknowledges each piece with its progress and writes the file', async () => {
    const socket = await connected(server);
    const file = randomBytes(600_000);
    const piece = await socket.timeout(60_000).emitWithAck('start', file.length);
    for (let at = 0; at < file.length; at += piece) {
      const received = await socket.timeout(60_000).emitWithAck('piece', file.subarray(at, at + piece));
      assert.equal(received, Math.min(at + piece, file.length));
    }
    const [name] = readdirSync(UPLOADS);
    assert.ok(readFileSync(join(UPLOADS, name)).equals(file));
    rmSync(join(UPLOADS, name));
  });
  test('refuses what is too large, and removes what is unfinished', async () => {
    const socket = await connected(server);
    assert.match((await socket.timeout(60_000).emitWithAck('start', 100_000_001)).error, /1 to 100000000 bytes/);
    await socket.timeout(60_000).emitWithAck('start', 10);
    assert.match((await socket.timeout(60_000).emitWithAck('piece', Buffer.alloc(11))).error, /more bytes than announced/);
    assert.deepEqual(readdirSync(UPLOADS), []);
    await socket.timeout(60_000).emitWithAck('start', 10);
    assert.equal(readdirSync(UPLOADS).length, 1);
    socket.disconnect();
    await eventually(() => readdirSync(UPLOADS).length === 0, 'the unfinished file is gone');
  });
});

describe('the dashboard', () => {
  const server = served('dashboard');

  test('sends samples, and a history that is complete', async () => {
    const socket = await connected(server, { transports: ['websocket'] });
    const [{ number, load, clients }] = await event(socket, 'sample');
    assert.ok(number >= 0 && load >= 0 && load <= 100 && clients === 1);
    let next = 0;
    socket.on('history', (start, batch) => {
      assert.equal(start, next);
      next += batch.length;
    });
    // More than the queue of the server holds.
    assert.equal(await socket.timeout(60_000).emitWithAck('history', 1_000_000), 1_000_000);
    assert.equal(next, 1_000_000);
  });
});

describe('the typed poll', () => {
  const server = served('typed');

  test('counts one vote of each socket', async () => {
    const socket = await connected(server);
    const tally = event(socket, 'tally');
    assert.deepEqual(await socket.timeout(60_000).emitWithAck('vote', 'tea'), { kind: 'counted', total: 1 });
    assert.deepEqual(await tally, [{ votes: { tea: 1 } }]);
    assert.deepEqual(await socket.timeout(60_000).emitWithAck('vote', 'coffee'), { kind: 'already_voted' });
    assert.ok((await socket.timeout(60_000).emitWithAck('vote', 'beer')).error);
  });
  test('has a page whose script compiles with the types of the contract only', () => {
    const types = execFileSync(join(FOLDER, 'typed'), ['typescript'], { encoding: 'utf8' });
    const folder = mkdtempSync(join(import.meta.dirname, 'typed-'));
    const compile = (types) => {
      copyFileSync(join(program('EXAMPLES_SOURCE'), 'pages/typed.js'), join(folder, 'typed.js'));
      writeFileSync(join(folder, 'events.ts'), types);
      const options = ['--noEmit', '--strict', '--skipLibCheck', '--allowJs', '--checkJs', '--target', 'es2022', '--lib', 'es2022,dom'];
      options.push('--module', 'esnext', '--moduleResolution', 'bundler', '--types', '', join(folder, 'typed.js'));
      const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
      return spawnSync(process.execPath, [compiler, ...options], { encoding: 'utf8' }).stdout;
    };
    try {
      assert.equal(compile(types), '');
      assert.match(compile(types.replace('tally:', 'count:')), /tally/);
      assert.match(compile(types.replace('total:', 'sum:')), /total/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Starts Node's server. */
async function nodeServer() {
  const http = createServer().listen(0, '127.0.0.1');
  await once(http, 'listening');
  return Object.assign(new Server(http), { url: `http://127.0.0.1:${http.address().port}` });
}

test("the bot answers in a room of Node's server, and joins again after it has lost it", async () => {
  const io = await nodeServer();
  io.on('connection', (socket) => {
    const { name } = socket.handshake.auth;
    socket.on('join', (room, done) => {
      socket.join(room);
      socket.to(room).emit('joined', room, name);
      done();
    });
    socket.on('say', (room, text) => io.to(room).emit('said', room, name, text));
  });
  const bot = await example('bot', {}, [io.url, 'lobby'], /joined lobby/);
  try {
    const ann = client(io, { auth: { name: 'ann' } });
    const welcome = event(ann, 'said');
    await ann.timeout(60_000).emitWithAck('join', 'lobby');
    assert.deepEqual(await welcome, ['lobby', 'bot', 'Welcome, ann!']);
    const said = [];
    ann.on('said', (_, name, text) => name === 'bot' && said.push(text));
    ann.emit('say', 'lobby', '!roll 6');
    await eventually(() => said.length === 1, 'the bot has rolled');
    assert.match(said[0], /^[1-6] of 6$/);

    const [served] = await io.fetchSockets();
    const back = event(ann, 'joined');
    io.of('/').sockets.get(served.id).conn.close();
    assert.deepEqual(await back, ['lobby', 'bot']);
  } finally {
    await bot.stop('SIGINT');
    io.close();
  }
});

test('the desktop client reconnects, and gets a fresh token when the old one has expired', async () => {
  const io = await nodeServer();
  const tokens = [];
  let valid = 'token 1';
  io.use((socket, next) => {
    const { token } = socket.handshake.auth;
    tokens.push(token);
    next(token === valid ? undefined : Object.assign(new Error('not authorized'), { data: { code: 'token expired' } }));
  });
  const connection = () => once(io, 'connection').then(([socket]) => socket);
  const first = connection();
  const desktop = await example('desktop', {}, [io.url], /online/);
  try {
    const socket = await first;
    assert.deepEqual(tokens, ['token 0', 'token 1']);
    socket.emit('news', 'hello');
    await eventually(() => desktop.output().includes('news: hello'), 'the news is shown');

    // The connection is lost: the same token is good.
    const second = connection();
    socket.conn.close();
    const again = await second;
    assert.equal(tokens.at(-1), 'token 1');

    // The token expires during the session.
    valid = 'token 2';
    const third = connection();
    again.emit('token expired');
    again.disconnect();
    await third;
    assert.equal(tokens.at(-1), 'token 2');
    await eventually(() => desktop.output().match(/^online/gm).length === 3, 'it has been online three times');
    assert.match(desktop.output(), /offline: io server disconnect/);
  } finally {
    const { code } = await desktop.stop('SIGINT');
    assert.equal(code, 0);
    io.close();
  }
});
