// The contract of the `conformance` rig, served by Node's own packages: the oracle of the differential test.
//
// `/engine.io/` is an Engine.IO echo server, `/socket.io/` a Socket.IO server with the namespaces `/` and `/custom`. PORT,
// PING_INTERVAL and PING_TIMEOUT (ms), MAX_PAYLOAD (bytes), BODY_TIMEOUT (ms), ALLOW_EIO3 (1). Prints LISTENING.

import { createServer } from 'node:http';

import { Server as Engine } from 'engine.io';
import { Server } from 'socket.io';

const env = (name, fallback) => Number(process.env[name] || fallback);
const options = {
  pingInterval: env('PING_INTERVAL', 300),
  pingTimeout: env('PING_TIMEOUT', 200),
  maxHttpBufferSize: env('MAX_PAYLOAD', 1e6),
  httpRequestBodyTimeout: env('BODY_TIMEOUT', 30_000),
  allowEIO3: env('ALLOW_EIO3', 0) === 1,
};

const http = createServer((_, response) => response.writeHead(404).end());
// Otherwise each of the two would end the other's WebSockets after a second.
const destroyUpgrade = false;

const echo = new Engine(options);
echo.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
echo.attach(http, { path: '/engine.io', destroyUpgrade });

const io = new Server({ ...options, serveClient: false });
for (const namespace of [io.of('/'), io.of('/custom')]) {
  namespace.on('connection', (socket) => {
    socket.emit('auth', socket.handshake.auth);
    socket.on('message', (...args) => socket.emit('message-back', ...args));
    socket.on('message-with-ack', (...args) => args.pop()(...args));
  });
}
io.attach(http, { path: '/socket.io', destroyUpgrade });

http.listen(env('PORT', 3000), '127.0.0.1', () => console.log('LISTENING'));
process.on('SIGTERM', () => process.exit(0));
