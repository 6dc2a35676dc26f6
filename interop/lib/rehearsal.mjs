// The rolling deploy and the change of networks, rehearsed: what happens to the messages and the sessions of the clients.

import { setTimeout as sleep } from 'node:timers/promises';

import { balancer } from './balancer.mjs';
import { engine, eventually, member, node } from './cluster.mjs';
import { receivers } from './receivers.mjs';

/** A message that arrives after this time is late, in milliseconds. */
const LATE = 1000;

/**
 * Replaces three nodes of the kind `from` by nodes of the kind `to`. Each gets `signal`. A fourth node, which stays, sends `rate` messages
 * a second to `count` clients of the kind `receiver`. Returns what happened to the messages and to the sessions.
 */
export async function rehearse({ adapter, kind, from, to, signal, receiver = 'node', count = 30, rate = 20, pause = 1500 }) {
  const bus = await engine(kind);
  const start = (which) => node(which, adapter, bus, { RECOVERY: '1', CRASH_SAFE: '1' });
  const [source, ...nodes] = await Promise.all([to, from, from, from].map(start));
  const servers = [...nodes];
  const balance = await balancer(servers);
  const sender = await member(source);
  const clients = await receivers(receiver, { url: balance.url, count, delay: 200, delayMax: 1000 });
  const sent = [];
  const emit = () => {
    sender.emit('op', { op: 'emit', event: 'n', args: [sent.length] }, () => {});
    sent.push(Date.now());
  };
  let timer;
  try {
    // Only a client that has received an event has an offset.
    emit();
    await eventually(() => clients.records.every(({ received }) => received.has(0)), 'all clients have received an event');
    timer = setInterval(emit, 1000 / rate);
    for (const old of nodes) {
      await sleep(pause);
      servers.push(await start(to));
      servers.splice(servers.indexOf(old), 1);
      await old.stop(signal);
    }
    await sleep(pause);
    clearInterval(timer);
    const whole = ({ received }) => received.size === sent.length;
    await eventually(() => clients.records.every(whole), 'all clients have received all events', 10_000).catch(() => {});
    const times = clients.records.flatMap(({ received }) => [...received].map(([n, [first]]) => first - sent[n]));
    return { ...summary(clients.records, sent.length), late: times.filter((took) => took > LATE).length };
  } finally {
    clearInterval(timer);
    sender.disconnect();
    await clients.stop();
    balance.stop();
    await Promise.all([source, ...servers].map((server) => server.stop('SIGKILL')));
    await bus.stop();
  }
}

/**
 * Silences the line of a client of the kind `receiver` `times` times, and lets the client reconnect at once. The servers emit `n` all the
 * time. Returns what happened to the messages, and the longest time in ms until the client was connected again.
 */
export async function switchLines(servers, { receiver = 'node', times = 100 } = {}) {
  const balance = await balancer(servers);
  const clients = await receivers(receiver, { url: balance.url, count: 1, delay: 5, delayMax: 20 });
  const [record] = clients.records;
  const more = async (count) => {
    const before = record.received.size;
    await eventually(() => record.received.size >= before + count, 'the client receives events');
  };
  let slowest = 0;
  try {
    for (let i = 1; i <= times; i += 1) {
      await more(1);
      balance.silence();
      const since = Date.now();
      clients.changeNetwork();
      await eventually(() => record.connections.length > i, 'the client is connected again');
      slowest = Math.max(slowest, record.connections[i].at - since);
    }
    await more(10);
  } finally {
    await clients.stop();
    balance.stop();
  }
  const numbers = [...record.received.keys()];
  const inOrder = numbers.every((n, i) => i === 0 || n > numbers[i - 1]);
  return { ...summary([record], Math.max(...numbers) - numbers[0] + 1), inOrder, slowest };
}

/** What happened to `sent` messages to each client, and to the sessions. */
function summary(records, sent) {
  const arrivals = records.flatMap(({ received }) => [...received.values()]);
  const returns = records.flatMap(({ connections }) => connections.slice(1).map((now, i) => now.recovered && now.id === connections[i].id));
  const recovered = returns.filter(Boolean).length;
  return {
    delivered: arrivals.length,
    lost: sent * records.length - arrivals.length,
    twice: arrivals.filter(({ length }) => length > 1).length,
    recovered,
    fresh: returns.length - recovered,
  };
}
