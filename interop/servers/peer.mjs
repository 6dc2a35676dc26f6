// The server for the tests of the Rust client: Node's, of the generation in VERSION (4, 3 or 2).
//
// The `peer` rig keeps the same contract, so that the same tests run against both. Settings
// are environment variables: PORT (3000), PARSER (json or msgpack), PING_INTERVAL (25000 ms), PING_TIMEOUT (20000
// ms), MAX_PAYLOAD (1000000 bytes), TRANSPORTS (polling,websocket), RECOVERY (1: connection state recovery), COOKIE
// (1: every request of a session must bring the cookie that the first response set), REFUSE (1: refuse all
// sessions), LEASH (1: exit when the standard input ends, that is, with the parent process). Prints LISTENING.

import { createServer } from 'node:http';

const env = (name, fallback) => process.env[name] || fallback;
const version = env('VERSION', '4');
const packages = { 4: 'socket.io', 3: 'socket.io-v3', 2: 'socket.io-v2' };
const module = await import(packages[version]);
const Server = module.Server ?? module.default;

const http = createServer();
const options = {
  pingInterval: Number(env('PING_INTERVAL', 25_000)),
  pingTimeout: Number(env('PING_TIMEOUT', 20_000)),
  maxHttpBufferSize: Number(env('MAX_PAYLOAD', 1e6)),
  transports: env('TRANSPORTS', 'polling,websocket').split(','),
  cookie: env('COOKIE') ? { name: 'io' } : false,
  serveClient: false,
};
if (version !== '2') {
  options.allowRequest = (request, decide) => decide(env('REFUSE') ? 'not today' : null, !env('REFUSE'));
}
if (env('PARSER') === 'msgpack') options.parser = (await import('socket.io-msgpack-parser')).default;
if (env('RECOVERY')) options.connectionStateRecovery = {};
const io = new Server(http, options);
if (env('COOKIE')) io.engine.use(sticky);

/** State of the whole server, which outlives connections but not the process. */
const attempts = new Map();
const recorded = [];

for (const name of ['/', '/chat', '/locked']) {
  const namespace = io.of(name);
  if (name === '/locked') namespace.use(guard);
  namespace.on('connection', (socket) => serve(namespace, socket));
}

function serve(namespace, socket) {
  socket.emit('welcome', auth(socket));
  socket.on('echo', (...args) => socket.emit('echo', ...args));
  socket.on('ack', (...args) => args.pop()(...args));
  // The server requests an ack from the client and emits what it gets.
  socket.on('ask', (...args) => {
    socket.emit('question', ...args, (...answer) => socket.emit('answered', ...answer));
  });
  // Requests an ack several times and sends the results to a room, because the client may have disconnected by then.
  socket.on('survey', (room, count) => {
    for (let n = 0; n < count; n += 1) socket.emit('question', n, (answer) => namespace.to(room).emit('cast', answer));
  });
  socket.on('join', (room, done) => {
    socket.join(room);
    done();
  });
  socket.on('leave', (room, done) => {
    socket.leave(room);
    done();
  });
  socket.on('cast', (room, ...args) => namespace.to(room).emit('cast', ...args));
  socket.on('all', (...args) => namespace.emit('all', ...args));
  socket.on('burst', (count) => {
    for (let n = 0; n < count; n += 1) socket.emit('n', n);
  });
  socket.on('large', (length, done) => done('x'.repeat(length)));
  // Acknowledges from this attempt on. Earlier attempts get no ack.
  socket.on('flaky', (key, from, done) => {
    attempts.set(key, (attempts.get(key) ?? 0) + 1);
    if (attempts.get(key) >= from) done(attempts.get(key));
  });
  socket.on('record', (value) => recorded.push(value));
  socket.on('recorded', (done) => done(recorded));
  socket.on('attempts', (key, done) => done(attempts.get(key) ?? 0));
  socket.on('silence', () => {}); // never acknowledges
  socket.on('info', (done) => {
    done({
      id: socket.id,
      transport: socket.conn.transport.name,
      recovered: socket.recovered ?? false,
      query: socket.handshake.query,
      header: socket.handshake.headers['x-test'] ?? null,
      clients: io.engine.clientsCount,
    });
  });
  socket.on('kick', () => socket.disconnect());
  socket.on('close', () => socket.disconnect(true));
  // Closes the connection without a DISCONNECT packet.
  socket.on('lose', () => socket.conn.close());
  // Blocks the whole server for a while.
  socket.on('hang', (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms));
  // Numbered events for clients that lose their connections.
  socket.on('tick', (from, count) => {
    for (let n = from; n < from + count; n += 1) namespace.emit('n', n);
  });
}

/** Version 2 has no auth payload, only a query. */
function auth(socket) {
  if (version !== '2') return socket.handshake.auth;
  const { EIO, transport, t, b64, sid, ...rest } = socket.handshake.query;
  return rest;
}

function guard(socket, next) {
  if (auth(socket).token === 'secret') return next();
  const error = new Error('not authorized');
  error.data = { code: 'E_AUTH', token: auth(socket).token ?? null };
  next(error);
}

function sticky(request, response, next) {
  const { searchParams } = new URL(request.url, 'http://localhost');
  const sid = searchParams.get('sid');
  const cookies = (request.headers.cookie ?? '').split('; ');
  next(sid && !cookies.includes(`io=${sid}`) ? new Error('another node') : undefined);
}

http.listen({ port: Number(env('PORT', 3000)), host: '127.0.0.1', backlog: 511 }, () => console.log('LISTENING'));
process.on('SIGTERM', () => process.exit(0));
if (env('LEASH')) process.stdin.resume().on('end', () => process.exit(0));
