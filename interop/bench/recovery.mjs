// Measures what connection state recovery costs: the commands that a node sends to its engine, and the instructions that it executes.
// Prints a table of commands for each engine, and one of instructions.
//
// Neither depends on how busy the machine is. `cargo xtask bench recovery` runs this with CLUSTER_NODE, built for measurements,
// and ENGINES. The arguments are names of adapters, without which all are measured. Needs valgrind.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { closeAll, event } from '../lib/client.mjs';
import { engine, eventually, member, node, prefix } from '../lib/cluster.mjs';
import { counting } from '../lib/engine_proxy.mjs';
import { program, start } from '../lib/server.mjs';

const KINDS = { memory: undefined, 'redis-streams': 'redis', 'postgres-log': 'postgres', nats: 'nats-jetstream' };
const SETTINGS = { off: {}, on: { RECOVERY: '1' }, 'crash-safe': { RECOVERY: '1', CRASH_SAFE: '1' } };
/** The steps whose cost is printed. The second list needs another node or a minute, and is not repeated under valgrind. */
const STEPS = ['event', 'connect', 'join a room', 'lose the line', 'return', 'disconnect'];
const LONG_STEPS = ['a minute', 'return to another node', 'change nodes'];
/** What nodes send from time to time: heartbeats, requests for the next entries of a log, and the removal of old ones. */
const BACKGROUND = ['', 'PING', 'PONG', 'XREAD', 'DELETE log', 'DELETE attachments'];
/** Commands that are heartbeats too, unless nodes emit events. */
const PUBLISHED = ['PUB all', 'NOTIFY'];
const EVENTS = 400;
const CLIENTS = 100;

const wanted = process.argv.slice(2);
const engines = Object.keys(KINDS).filter((name) => wanted.length === 0 || wanted.includes(name));

for (const adapter of engines.filter((name) => name !== 'memory')) {
  const columns = await measured(adapter, SETTINGS, commands);
  row([`commands, ${adapter}`, ...Object.keys(SETTINGS)], true);
  [...STEPS, ...LONG_STEPS].forEach((step) => row([step, ...columns.map((cells) => cells[step] ?? '–')]));
  console.log();
}
row(['instructions', 'recovery', ...STEPS], true);
for (const adapter of engines) {
  // A node alone has no store of sessions.
  const { off, on } = SETTINGS;
  const settings = adapter === 'memory' ? { off, on } : SETTINGS;
  const rows = await measured(adapter, settings, instructions);
  rows.forEach((cells, i) => row([adapter, Object.keys(settings)[i], ...STEPS.map((step) => cells[step])]));
}
process.exit(0);

async function measured(adapter, settings, method) {
  const results = [];
  for (const env of Object.values(settings)) results.push(await measure(adapter, env, method));
  return results;
}

function row(cells, head = false) {
  console.log(`| ${cells.join(' | ')} |`);
  if (head) console.log(`|${'---|'.repeat(cells.length)}`);
}

/** What each step costs per event or client. */
async function measure(adapter, env, method) {
  const kind = KINDS[adapter];
  const bus = kind && (await engine(kind));
  const proxies = bus ? [await counting(bus), await counting(bus)] : [];
  // The adapter `postgres-log` has its log whether or not recovery is on.
  const name = adapter === 'postgres-log' && !env.RECOVERY ? 'postgres' : adapter;
  const settings = { ...env, ...(bus && { PREFIX: prefix() }) };
  const { server, step, stop } = await method(name, proxies, settings);
  const other = method === commands && env.RECOVERY ? await node('rust', name, proxies[1], settings) : undefined;
  const cells = {};
  const each = async (title, count, run) => {
    cells[title] = await step(count, run);
  };
  try {
    const sender = await member(server);
    const emit = () => sender.op('emit', { event: 'said', args: ['x'.repeat(64)] });
    const clients = [];
    const recovered = (socket) => assert.equal(socket.recovered === true, env.RECOVERY === '1');
    for (let i = 0; i < 20; i += 1) await emit();
    await each('event', EVENTS, async () => {
      for (let i = 0; i < EVENTS; i += 1) await emit();
    });
    await each('connect', CLIENTS, async () => {
      for (let i = 0; i < CLIENTS; i += 1) clients.push(await member(server, { reconnection: false }));
    });
    await each('join a room', CLIENTS, async () => {
      for (const { id } of clients) await sender.op('socketsJoin', { to: [id], rooms: [`room of ${id}`], flags: { local: true } });
    });
    // A session that is stored while its client is connected is renewed in time.
    if (method === commands && env.CRASH_SAFE) await each('a minute', CLIENTS, () => sleep(61_000));
    // Only a client that has received an event has an offset.
    await emit();
    await eventually(() => clients.every(({ heard }) => heard.length > 0), 'all clients have received an event');
    const lose = async () => {
      const lost = clients.map((socket) => event(socket, 'disconnect'));
      clients.forEach((socket) => socket.io.engine.transport.ws.terminate());
      await Promise.all(lost);
    };
    await each('lose the line', CLIENTS, lose);
    await each('return', CLIENTS, async () => {
      for (const socket of clients) await event(socket.connect(), 'connect');
    });
    clients.forEach(recovered);
    const move = (target) => async () => {
      for (const [i, lost] of clients.entries()) clients[i] = await member(target, { lost, reconnection: false });
    };
    if (other) {
      await lose();
      await each('return to another node', CLIENTS, move(other));
      clients.forEach(recovered);
      await each('change nodes', CLIENTS, move(server));
      clients.forEach(recovered);
    }
    await each('disconnect', CLIENTS, async () => clients.forEach((socket) => socket.disconnect()));
    return cells;
  } finally {
    closeAll();
    await Promise.all([other?.stop('SIGKILL'), stop()]);
    proxies.forEach((proxy) => proxy.stop());
    await bus?.stop();
  }
}

/** Counts the commands of all nodes, without those in the background. */
async function commands(adapter, proxies, env) {
  const server = await node('rust', adapter, proxies[0], env);
  return {
    server,
    async step(count, run) {
      await sleep(500);
      proxies.forEach(({ counts }) => counts.clear());
      await run();
      await sleep(500);
      const total = new Map();
      for (const [name, number] of proxies.flatMap(({ counts }) => [...counts])) total.set(name, (total.get(name) ?? 0) + number);
      const background = count === EVENTS ? BACKGROUND : [...BACKGROUND, ...PUBLISHED];
      const shown = [...total].filter(([name]) => !background.includes(name)).sort();
      const per = (number) => (number * 20 < count ? '<0.1' : Math.round((number * 10) / count) / 10);
      return shown.map(([name, number]) => `${per(number)} ${name}`).join(', ') || '–';
    },
    stop: () => server.stop('SIGKILL'),
  };
}

/** Counts the instructions of one node, in user space. */
async function instructions(adapter, [proxy], env) {
  const folder = mkdtempSync(join(tmpdir(), 'recovery-'));
  const out = join(folder, 'out');
  const options = ['--tool=callgrind', '--quiet', `--callgrind-out-file=${out}`, program('CLUSTER_NODE')];
  const server = await start('valgrind', { ...env, ADAPTER: adapter, URL: proxy?.url ?? '', TOKIO_WORKER_THREADS: '1' }, options);
  const control = (what) => execFileSync('callgrind_control', [what, String(server.pid)], { stdio: 'ignore' });
  let dumps = 0;
  return {
    server,
    async step(count, run) {
      await sleep(1000);
      control('--zero');
      await run();
      await sleep(2000);
      control('--dump');
      dumps += 1;
      const total = /^totals: (\d+)/m.exec(readFileSync(`${out}.${dumps}`, 'utf8'));
      return Math.round(Number(total[1]) / count / 100) * 100;
    },
    async stop() {
      await server.stop('SIGKILL');
      rmSync(folder, { recursive: true });
    },
  };
}
