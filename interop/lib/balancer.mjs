// A load balancer in this process, whose lines to the servers can be cut off silently.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Starts a balancer in front of `servers`, objects with a `port`. The array may change. */
export async function balancer(servers) {
  const lines = new Set();
  let turn = 0;
  const listener = createServer((client) => {
    const line = { client, silent: false };
    lines.add(line);
    client.on('close', () => lines.delete(line)).on('error', () => {});
    const attempt = (left) => {
      if (left === 0 || servers.length === 0) return client.destroy();
      turn += 1;
      const server = connect(servers[turn % servers.length].port, '127.0.0.1');
      server.once('error', () => line.server === undefined && attempt(left - 1));
      server.once('connect', () => {
        line.server = server;
        server.on('error', () => {}).on('close', () => line.silent || client.destroy());
        client.on('close', () => line.silent || server.destroy());
        client.on('data', (data) => line.silent || server.write(data));
        server.on('data', (data) => line.silent || client.write(data));
        client.resume();
      });
    };
    client.pause();
    attempt(servers.length);
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    url: `http://127.0.0.1:${listener.address().port}`,
    /** From now on the present lines carry nothing. Neither end is told. */
    silence() {
      lines.forEach((line) => {
        line.silent = true;
      });
    },
    stop() {
      listener.close();
      lines.forEach(({ client, server }) => [client, server].forEach((end) => end?.destroy()));
    },
  };
}
