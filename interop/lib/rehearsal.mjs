// The rolling deploy, rehearsed: three nodes are replaced one by one while clients receive messages.

import { setTimeout as sleep } from 'node:timers/promises';

import { balancer } from './balancer.mjs';
import { client, event } from './client.mjs';
import { engine, member, node } from './cluster.mjs';

/** A message that arrives after this time is late, in milliseconds. */
const LATE = 1000;

/**
 * Replaces three nodes of the kind `from` by nodes of the kind `to`. Each gets `signal`. A fourth node, which stays, sends `rate` messages
 * a second to `count` clients of Node. Returns what happened to the messages and to the sessions.
 */
export async function rehearse({ adapter, kind, from, to, signal, count = 30, rate = 20, pause = 1500, env = {} }) {
  const bus = await engine(kind);
  const settings = { RECOVERY: '1', CRASH_SAFE: '1', ...env };
  const start = (which) => node(which, adapter, bus, settings);
  const [source, ...nodes] = await Promise.all([to, from, from, from].map(start));
  const servers = [...nodes];
  const balance = await balancer(servers);
  const sender = await member(source);
  const clients = await Promise.all(Array.from({ length: count }, () => receiver(balance)));
  const sent = [];
  const emit = () => {
    sender.emit('op', { op: 'emit', event: 'n', args: [sent.length] }, () => {});
    sent.push(Date.now());
  };
  // Only a client that has received an event has an offset.
  emit();
  while (!clients.every(({ received }) => received.has(0))) await sleep(20);
  let timer = setInterval(emit, 1000 / rate);
  try {
    for (const old of nodes) {
      await sleep(pause);
      servers.push(await start(to));
      servers.splice(servers.indexOf(old), 1);
      await old.stop(signal);
    }
    await sleep(pause);
    clearInterval(timer);
    timer = undefined;
    const whole = ({ received }) => received.size === sent.length;
    for (let waited = 0; waited < 10_000 && !clients.every(whole); waited += 50) await sleep(50);
    return summary(clients, sent);
  } finally {
    clearInterval(timer);
    [sender, ...clients.map(({ socket }) => socket)].forEach((socket) => socket.disconnect());
    balance.stop();
    await Promise.all([source, ...servers].map((server) => server.stop('SIGKILL')));
    await bus.stop();
  }
}

async function receiver(server) {
  const socket = client(server, { transports: ['websocket'], reconnectionDelay: 200, reconnectionDelayMax: 1000 });
  const record = { socket, received: new Map(), connections: [] };
  socket.on('connect', () => record.connections.push(socket.recovered));
  socket.on('n', (n) => record.received.set(n, [...(record.received.get(n) ?? []), Date.now()]));
  await event(socket, 'connect');
  return record;
}

function summary(clients, sent) {
  const times = clients.flatMap(({ received }) => [...received].map(([n, at]) => ({ n, at })));
  const returns = clients.flatMap(({ connections }) => connections.slice(1));
  return {
    sent: sent.length * clients.length,
    delivered: times.length,
    lost: sent.length * clients.length - times.length,
    twice: times.filter(({ at }) => at.length > 1).length,
    late: times.filter(({ n, at }) => at[0] - sent[n] > LATE).length,
    recovered: returns.filter(Boolean).length,
    fresh: returns.filter((recovered) => !recovered).length,
  };
}

/** Abandons a client's line silently `times` times, and lets the client reconnect at once. Returns what happened to the messages. */
export async function switchLines(servers, { times = 100 } = {}) {
  const balance = await balancer(servers);
  const socket = client(balance, { transports: ['websocket'], reconnectionDelay: 5, reconnectionDelayMax: 20 });
  const [received, connections] = [[], []];
  socket.on('connect', () => connections.push(socket.recovered));
  socket.on('n', (n) => received.push(n));
  try {
    await event(socket, 'connect');
    for (let i = 0; i < times; i += 1) {
      const before = received.length;
      while (received.length === before) await sleep(1);
      balance.silence();
      const connected = event(socket, 'connect');
      socket.io.engine.close();
      await connected;
    }
    const before = received.length;
    while (received.length < before + 10) await sleep(5);
  } finally {
    socket.disconnect();
    balance.stop();
  }
  const distinct = new Set(received);
  const returns = connections.slice(1);
  return {
    delivered: distinct.size,
    lost: received.at(-1) - received[0] + 1 - distinct.size,
    twice: received.length - distinct.size,
    recovered: returns.filter(Boolean).length,
    fresh: returns.filter((recovered) => !recovered).length,
    inOrder: received.every((n, i) => i === 0 || n > received[i - 1]),
  };
}
