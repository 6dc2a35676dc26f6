// A load balancer in this process, which can stop forwarding data without closing connections.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Starts a balancer in front of `servers`, objects with a `port`. The array may change. */
export async function balancer(servers) {
  const connections = new Set();
  let turn = 0;
  const listener = createServer((client) => {
    const connection = { client, silent: false };
    connections.add(connection);
    client.on('close', () => connections.delete(connection)).on('error', () => {});
    const attempt = (left) => {
      if (left === 0 || servers.length === 0) return client.destroy();
      turn += 1;
      const server = connect(servers[turn % servers.length].port, '127.0.0.1');
      server.once('error', () => connection.server === undefined && attempt(left - 1));
      server.once('connect', () => {
        connection.server = server;
        server.on('error', () => {}).on('close', () => connection.silent || client.destroy());
        client.on('close', () => connection.silent || server.destroy());
        client.on('data', (data) => connection.silent || server.write(data));
        server.on('data', (data) => connection.silent || client.write(data));
        client.resume();
      });
    };
    client.pause();
    attempt(servers.length);
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    url: `http://127.0.0.1:${listener.address().port}`,
    /** Stops forwarding the data of the present connections. Neither end notices. */
    silence() {
      connections.forEach((connection) => {
        connection.silent = true;
      });
    },
    stop() {
      listener.close();
      connections.forEach(({ client, server }) => [client, server].forEach((end) => end?.destroy()));
    },
  };
}
