// The protocol of the Admin UI: the same questions for Node's server and for ours.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { instrument } from '@socket.io/admin-ui';
import bcrypt from 'bcryptjs';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';

import { freePort, program, start } from '../lib/server.mjs';

const HASH = bcrypt.hashSync('secret', 4);

/** Starts Node's server with the handlers of our example. */
async function node({ ADMIN_PASSWORD_HASH, PRODUCTION, READ_ONLY }) {
  const http = createServer();
  const server = new Server(http);
  const password = ADMIN_PASSWORD_HASH && { type: 'basic', username: 'admin', password: ADMIN_PASSWORD_HASH };
  instrument(server, { auth: password ?? false, readonly: Boolean(READ_ONLY), mode: PRODUCTION ? 'production' : 'development' });
  server.of('/chat');
  server.on('connection', (socket) => {
    socket.join('lobby');
    socket.data.seen = 1;
    socket.on('echo', (value) => socket.emit('echo', value));
  });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${http.address().port}`, stop: () => server.close() };
}

async function rust(env) {
  return start(program('ADMIN_SERVER'), { PORT: await freePort(), ...env });
}

const SERVERS = [
  ['node', node],
  ['rust', rust],
];

/** Collects the events of a namespace. */
function connect(url, namespace, auth) {
  const socket = io(url + namespace, { forceNew: true, transports: ['websocket'], auth });
  const events = [];
  const waiting = new Set();
  socket.onAny((event, ...args) => {
    events.push([event, ...args]);
    for (const check of waiting) check();
  });
  /** Waits for an event that fits. */
  const until = (name, fits = () => true) =>
    new Promise((resolve) => {
      const check = () => {
        const found = events.find(([event, ...args]) => event === name && fits(...args));
        if (!found) return;
        waiting.delete(check);
        resolve(found.slice(1));
      };
      waiting.add(check);
      check();
    });
  const open = new Promise((resolve, reject) => {
    socket.on('connect', () => resolve(socket));
    socket.on('connect_error', reject);
  });
  return { socket, events, until, open };
}

/** The keys of an object and of the objects in it, with the types of their values. */
function shape(value) {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (value === null || typeof value !== 'object') return typeof value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, key === 'headers' ? 'headers' : shape(value[key])]));
}

async function ask(begin, env, questions) {
  const server = await begin(env);
  const open = [];
  const opened = async (namespace, auth) => {
    const it = connect(server.url, namespace, auth);
    open.push(it.socket);
    it.id = (await it.open).id;
    return it;
  };
  const openPage = () => opened('/admin', { username: 'admin', password: 'secret' });
  try {
    return await questions({ url: server.url, openPage, openUser: () => opened('/') });
  } finally {
    for (const socket of open) socket.disconnect();
    await server.stop();
  }
}

/** Asks both servers and compares their answers. */
function same(name, env, questions) {
  test(name, async () => {
    const answers = {};
    for (const [server, begin] of SERVERS) answers[server] = await ask(begin, env, questions);
    assert.deepEqual(answers.rust, answers.node);
  });
}

for (const [name, env] of [
  ['development', {}],
  ['production', { PRODUCTION: '1' }],
  ['read-only', { READ_ONLY: '1' }],
]) {
  same(`the features are those of Node's server: ${name}`, env, async ({ openPage }) => {
    const page = await openPage();
    return (await page.until('config'))[0];
  });
}

same('a socket is described as by Node\'s server', {}, async ({ openPage, openUser }) => {
  const user = await openUser();
  const page = await openPage();
  const [sockets] = await page.until('all_sockets');
  const mine = sockets.find((socket) => socket.id === user.id);
  const { nsp, data, transport } = mine;
  return { shape: shape(mine), nsp, data, transport, rooms: mine.rooms.length, client: mine.clientId.length };
});

same('the statistics have the fields of Node\'s server', {}, async ({ openPage, openUser }) => {
  await openUser();
  const page = await openPage();
  const [stats] = await page.until('server_stats', (stats) => stats.clientsCount === 2);
  const namespaces = Object.fromEntries(stats.namespaces.map(({ name, socketsCount }) => [name, socketsCount]));
  return { shape: { ...shape(stats), aggregatedEvents: 'events' }, namespaces, polling: stats.pollingClientsCount };
});

same('the page learns of connections, rooms, events and disconnections', {}, async ({ openPage, openUser }) => {
  const page = await openPage();
  await page.until('all_sockets');
  const { id, socket } = await openUser();
  const [described, at] = await page.until('socket_connected', (socket) => socket.id === id);
  const joined = await page.until('room_joined', (nsp, room, who) => room === 'lobby' && who === id);
  socket.emit('echo', Buffer.from([1, 2]));
  const got = await page.until('event_received', (nsp, who) => who === id);
  const sent = await page.until('event_sent', (nsp, who, [event]) => who === id && event === 'echo');
  socket.disconnect();
  const gone = await page.until('socket_disconnected', (nsp, who) => who === id);
  const left = await page.until('room_left', (nsp, room, who) => room === 'lobby' && who === id);
  const times = [at, joined[3], got[3], sent[3], gone[3], left[3]];
  for (const time of times) assert.equal(new Date(time).toJSON(), time);
  const plain = (args) => args.filter((arg) => arg !== id && !times.includes(arg));
  return [described.nsp, plain(joined), plain(got), plain(sent), plain(gone), plain(left)];
});

same('a changed value is reported', {}, async ({ openPage, openUser }) => {
  const page = await openPage();
  await page.until('all_sockets');
  const { id } = await openUser();
  return (await page.until('socket_updated', (socket) => socket.id === id && socket.data))[0].data;
});

same('commands act on a room, a socket or a namespace', {}, async ({ openPage, openUser }) => {
  const user = await openUser();
  const page = await openPage();
  await page.until('all_sockets');
  const { socket: admin } = page;
  admin.emit('emit', '/', null, 'everyone', 1, { two: 2 });
  const everyone = await user.until('everyone');
  admin.emit('emit', '/', 'lobby', 'room', 'a');
  const room = await user.until('room');
  admin.emit('emit', '/', 'nobody', 'other', 'a');
  admin.emit('join', '/', 'vip', user.id);
  await page.until('room_joined', (nsp, room, who) => room === 'vip' && who === user.id);
  admin.emit('leave', '/', 'vip', user.id);
  await page.until('room_left', (nsp, room, who) => room === 'vip' && who === user.id);
  const gone = new Promise((resolve) => user.socket.on('disconnect', resolve));
  admin.emit('_disconnect', '/', false, user.id);
  return [everyone, room, await gone, user.events.map(([event]) => event).includes('other')];
});

same('a read-only page cannot act', { READ_ONLY: '1' }, async ({ openPage, openUser }) => {
  const user = await openUser();
  const page = await openPage();
  page.socket.emit('emit', '/', null, 'forbidden');
  page.socket.emit('_disconnect', '/', true, null);
  await page.until('server_stats');
  user.socket.emit('echo', 'after');
  await user.until('echo');
  return user.events.map(([event]) => event);
});

same('wrong credentials are refused', { ADMIN_PASSWORD_HASH: HASH }, async ({ url, openPage }) => {
  await openPage();
  const answers = [];
  for (const auth of [{ username: 'admin', password: 'wrong' }, { username: 'other', password: 'secret' }]) {
    const { socket, open } = connect(url, '/admin', auth);
    answers.push(await open.then(() => 'open', ({ message }) => message));
    socket.disconnect();
  }
  return answers;
});

describe('sessions and arguments of the page are checked', () => {
  let server;
  before(async () => (server = await rust({ ADMIN_PASSWORD_HASH: HASH })));
  after(() => server.stop());

  test('the session arrives after the connection, and lets the page in again', async () => {
    const page = connect(server.url, '/admin', { username: 'admin', password: 'secret' });
    await page.open;
    const [sessionId] = await page.until('session');
    page.socket.disconnect();
    const again = connect(server.url, '/admin', { sessionId });
    await again.open;
    again.socket.disconnect();
  });

  test('credentials of other types are refused', async () => {
    for (const auth of [{ username: 'admin' }, { username: ['admin'], password: 1 }, { sessionId: {} }, {}, undefined]) {
      const { socket, open } = connect(server.url, '/admin', auth);
      assert.equal(await open.catch(({ message }) => message), 'invalid credentials');
      socket.disconnect();
    }
  });

  test('a command for an unknown namespace creates none', async () => {
    const page = connect(server.url, '/admin', { username: 'admin', password: 'secret' });
    await page.open;
    page.socket.emit('emit', '/new', null, 'x');
    page.socket.emit('emit', 7, null, 'x');
    page.socket.emit('join');
    const [stats] = await page.until('server_stats', ({ clientsCount }) => clientsCount > 0);
    assert.deepEqual(stats.namespaces.map(({ name }) => name).sort(), ['/', '/admin', '/chat']);
    page.socket.disconnect();
  });
});
