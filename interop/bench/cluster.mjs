// Compares broadcasts from one of our nodes to the clients of another with those between Node's nodes, on
// the same engine in the same run. Prints a table.
//
// The figures are the CPU time of both nodes per broadcast, the rate with 64 broadcasts in flight, and the
// latency of a single broadcast from the sender's client to the receiver's. Compare only the two lines of one
// engine.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';

import { engine, engineOf, member, node, prefix, together } from '../lib/cluster.mjs';
import { closeAll } from '../lib/client.mjs';
import { NODE } from '../lib/mixes.mjs';
import { within } from '../lib/raw.mjs';

const [rounds = 3, messages = 20_000] = process.argv.slice(2).map(Number);
const WINDOW = 64;
const SINGLE = 300;
const ARGS = ['x'.repeat(64)];

console.log('| adapter | nodes | CPU per broadcast, µs | broadcasts per second | latency p50, µs | latency p99, µs |');
console.log('|---|---|---|---|---|---|');
for (const adapter of [...NODE, 'nats']) {
  const bus = await engine(engineOf(adapter));
  const kinds = NODE.includes(adapter) ? ['rust', 'node'] : ['rust'];
  const figures = Object.fromEntries(kinds.map((kind) => [kind, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of kinds) figures[kind].push(await measure(kind, adapter, bus));
  }
  for (const kind of kinds) {
    const { cpu, rate, p50, p99 } = figures[kind].sort((one, other) => one.cpu - other.cpu)[rounds >> 1];
    const name = kind === 'rust' ? 'ours' : "Node's";
    console.log(`| ${adapter} | ${name} | ${cpu.toFixed(1)} | ${rate.toFixed(0)} | ${p50.toFixed(0)} | ${p99.toFixed(0)} |`);
  }
  await bus.stop();
}

async function measure(kind, adapter, bus) {
  const PREFIX = prefix();
  const nodes = await Promise.all([0, 1].map((i) => node(kind, adapter, bus, { PREFIX, NAME: `${kind} ${i}` })));
  const [sender, receiver] = await Promise.all(nodes.map((server) => member(server)));
  await together(sender, receiver);
  // Members record all events, which would take too much memory here.
  [sender, receiver].forEach((socket) => socket.offAny());
  let arrived = 0;
  let onArrival = () => {};
  receiver.on('said', () => {
    arrived += 1;
    onArrival();
  });
  const broadcast = async () => assert.equal(await sender.op('broadcast', { event: 'said', args: ARGS }), 'ok');

  for (let i = 0; i < SINGLE; i += 1) await broadcast();
  const latencies = [];
  for (let i = 0; i < SINGLE; i += 1) {
    const started = performance.now();
    const arrival = new Promise((resolve) => (onArrival = resolve));
    await Promise.all([broadcast(), arrival]);
    latencies.push((performance.now() - started) * 1000);
  }
  latencies.sort((one, other) => one - other);

  const [before, started] = [cpuTime(nodes), performance.now()];
  await within(
    new Promise((resolve, reject) => {
      const first = arrived;
      let sent = 0;
      // The window counts arrivals, because the sender only learns that its broadcast is queued.
      onArrival = () => {
        if (arrived - first === messages) resolve();
        for (; sent < messages && sent - (arrived - first) < WINDOW; sent += 1) broadcast().catch(reject);
      };
      onArrival();
    }),
    'all broadcasts',
    120_000,
  );
  const seconds = (performance.now() - started) / 1000;
  const cpu = (cpuTime(nodes) - before) / messages / 1000;
  closeAll();
  await Promise.all(nodes.map((server) => server.stop()));
  return { cpu, rate: messages / seconds, p50: latencies[SINGLE >> 1], p99: latencies[Math.floor(SINGLE * 0.99)] };
}

/** The CPU time of all threads of the nodes, in nanoseconds. Clock ticks are too coarse for a second. */
function cpuTime(nodes) {
  const threads = nodes.flatMap(({ pid }) => readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/schedstat`));
  return threads.reduce((sum, thread) => sum + Number(readFileSync(thread, 'utf8').split(' ')[0]), 0);
}
