// Node's server with connection state recovery, which emits `n` with a number every 2 ms. The
// rig `recovery` has the same contract. Environment: PORT.

import { createServer } from 'node:http';

import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { serveClient: false, connectionStateRecovery: { maxDisconnectionDuration: 120_000 } });
let n = 0;
setInterval(() => {
  io.emit('n', n);
  n += 1;
}, 2);
http.listen(Number(process.env.PORT), '127.0.0.1', () => console.log(`LISTENING ${http.address().port}`));
