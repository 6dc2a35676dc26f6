// Node's server for hostile clients, with the handlers and deadlines of the rig `hostile`. Answers each line on its
// standard input with its counters, and ends with that input.

import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { Server } from 'socket.io';

const DEADLINE = 4000;
const http = createServer({ headersTimeout: DEADLINE, requestTimeout: DEADLINE, connectionsCheckingInterval: 500 });
const io = new Server(http, {
  pingInterval: 2000,
  pingTimeout: DEADLINE,
  upgradeTimeout: DEADLINE,
  connectTimeout: 2 * DEADLINE,
  perMessageDeflate: { clientNoContextTakeover: true, serverNoContextTakeover: true },
  serveClient: false,
});
io.on('connection', (socket) => {
  socket.on('echo', (...args) => socket.emit('echo', ...args));
  socket.on('ack', (...args) => args.pop()(...args));
  socket.on('value', () => {});
  socket.on('join', (room, ack) => {
    socket.join(room);
    ack();
  });
});
process.on('uncaughtException', (error) => {
  console.error(`node: ${error.stack}`);
  process.exit(1);
});
http.listen(0, '127.0.0.1', () => console.log(`LISTENING on port ${http.address().port}`));

const input = createInterface({ input: process.stdin });
input.on('line', () => {
  console.log(JSON.stringify({
    sessions: io.engine.clientsCount,
    descriptors: readdirSync('/proc/self/fd').length,
    rss_kib: Math.round(process.memoryUsage.rss() / 1024),
  }));
});
input.on('close', () => process.exit(0));
