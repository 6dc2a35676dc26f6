// Clusters under test: a real engine, and nodes of both kinds on it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inspect, isDeepStrictEqual } from 'node:util';

import { client, event } from './client.mjs';
import { within } from './raw.mjs';
import { program, start } from './server.mjs';

const NODE = fileURLToPath(new URL('../cluster/node.mjs', import.meta.url));
let prefixes = 0;

/** The engine that an adapter speaks to. */
export function engineOf(adapter) {
  return adapter.startsWith('redis') ? 'redis' : adapter;
}

/** Starts a real engine. It ends with us, since its input does. */
export async function engine(kind) {
  const child = spawn(program('ENGINES'), [kind], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (start) => {
    const { value, done } = await lines.next();
    if (done || !value.startsWith(start)) throw new Error(`the engine ${kind} did not do it: ${value}`);
    return value.slice(start.length);
  };
  const tell = async (word) => {
    child.stdin.write(`${word}\n`);
    await line('OK');
  };
  const url = await line('READY ');
  return {
    kind,
    url,
    kill: () => tell('kill'),
    restart: () => tell('restart'),
    pause: () => tell('pause'),
    resume: () => tell('resume'),
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await ended;
    },
  };
}

/** A prefix that nobody else on the engine uses. */
export function prefix() {
  prefixes += 1;
  return `p${process.pid}x${prefixes}`;
}

/** Starts a node: ours (`rust`) or Node's (`node`). */
export async function node(kind, adapter, { url }, env = {}) {
  const [path, args] = kind === 'rust' ? [program('CLUSTER_NODE')] : [process.execPath, [NODE]];
  const server = await start(path, { ADAPTER: adapter, URL: url, NAME: kind, ...env }, args);
  return Object.assign(server, { kind, name: env.NAME ?? kind });
}

/**
 * A client that is let in, and notes everything it hears: `heard` holds `[event, ...args]`. It takes over the session of
 * `lost`, where that is given.
 */
export async function member(server, { namespace = '/', auth = {}, lost, ...options } = {}) {
  const socket = client(server, { namespace, auth, transports: ['websocket'], autoConnect: false, ...options });
  if (lost) Object.assign(socket, { _pid: lost._pid, _lastOffset: lost._lastOffset });
  socket.heard = [];
  socket.onAny((...args) => {
    const ack = typeof args.at(-1) === 'function' ? args.pop() : undefined;
    socket.heard.push(args);
    ack?.(socket.answer === undefined ? socket.id : socket.answer);
  });
  socket.op = (op, fields = {}, patience = undefined) =>
    within(socket.emitWithAck('op', { op, ...fields }), `an answer to ${op}`, patience);
  await event(socket.connect(), 'connect');
  return socket;
}

/** Resolves once `condition` gives something true, which is the result. */
export async function eventually(condition, what, patience = 20_000) {
  const deadline = Date.now() + patience;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`waited too long until ${what}`);
    await sleep(20);
  }
}

/** Waits until what one of the members says is heard by all, in every direction. */
export async function together(...members) {
  const reaches = async (from) => {
    const tag = `together-${from.id}`;
    await eventually(async () => {
      await from.op('emit', { event: tag });
      await sleep(20);
      return members.every((member) => member.heard.some(([name]) => name === tag));
    }, `all hear ${from.id}`);
  };
  await Promise.all(members.map(reaches));
  await sleep(100);
  members.forEach((member) => member.heard.splice(0));
}

/** What each member has heard once a later word of each sender has reached all of them; then forgets it. */
export async function settled(members, ...senders) {
  for (const sender of senders) {
    const tag = `fence-${sender.id}`;
    await sender.op('emit', { event: tag });
    await eventually(() => members.every(({ heard }) => heard.some(([name]) => name === tag)), `all hear ${tag}`);
  }
  await sleep(15);
  return members.map(({ heard }) => heard.splice(0).filter(([name]) => !name.startsWith('fence-')));
}

/** Asserts that exactly these members hear exactly this, once. `all` holds the members by name. */
export async function assertHeard(all, sender, names, message) {
  // Node's adapter for Postgres has several connections: what is said later may come first.
  await eventually(() => names.every((name) => all[name].heard.length > 0), 'all have heard it', 3000).catch(() => {});
  const heard = await settled(Object.values(all), sender);
  const who = Object.keys(all).filter((_, i) => heard[i].length > 0);
  assert.deepEqual(who, Object.keys(all).filter((name) => names.includes(name)));
  // Not the values themselves: a difference would fill the screen.
  heard.flat().forEach((each) => assert.ok(isDeepStrictEqual(each, message), `it is not what was sent: ${inspect(each).slice(0, 500)}`));
  assert.equal(heard.flat().length, names.length, 'somebody heard it twice');
}
