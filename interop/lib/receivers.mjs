// Clients that record the events `n` that they receive: Node's client in this process, ours in a process of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { client } from './client.mjs';
import { eventually } from './cluster.mjs';
import { program } from './server.mjs';

const START = { node: startNode, rust: startRust };

/**
 * Connects `count` clients of the kind `node` or `rust` to `url`. They reconnect after `delay` ms, later after at most `delayMax`.
 * Each record in `records` has `received`, which maps the number of an event to the times of its arrivals, and `connections`, a list
 * of `{ id, recovered, at }`.
 */
export async function receivers(kind, { url, count, delay, delayMax }) {
  const records = Array.from({ length: count }, () => ({ received: new Map(), connections: [] }));
  const handles = START[kind](records, { url, delay, delayMax });
  await eventually(() => records.every(({ connections }) => connections.length > 0), 'all clients are connected');
  return { records, ...handles };
}

function arrived({ received }, n, at) {
  received.set(n, [...(received.get(n) ?? []), at]);
}

function startNode(records, { url, delay, delayMax }) {
  const sockets = records.map((record) => {
    const socket = client({ url }, { transports: ['websocket'], reconnectionDelay: delay, reconnectionDelayMax: delayMax });
    socket.on('connect', () => record.connections.push({ id: socket.id, recovered: socket.recovered, at: Date.now() }));
    return socket.on('n', (n) => arrived(record, n, Date.now()));
  });
  return {
    /** Tells the clients that their lines are lost. */
    changeNetwork: () => sockets.forEach((socket) => socket.io.engine.close()),
    stop: async () => sockets.forEach((socket) => socket.disconnect()),
  };
}

function startRust(records, { url, delay, delayMax }) {
  const child = spawn(program('RECEIVERS'), [url, records.length, delay, delayMax].map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  // The process may have ended already.
  child.stdin.on('error', () => {});
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { client: index, id, n, recovered, at } = JSON.parse(line);
    if (n === undefined) records[index].connections.push({ id, recovered, at });
    else arrived(records[index], n, at);
  });
  return {
    changeNetwork: () => child.stdin.write('network changed\n'),
    /** Ends the process, whose standard input it watches. */
    async stop() {
      child.stdin.end();
      await exited;
    },
  };
}
