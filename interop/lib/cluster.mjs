// Clusters under test: a real engine with our nodes and Node's.

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

/** The `answer` of a client that acknowledges without a value. */
export const NOTHING = Symbol('nothing');

/** The engine of an adapter. */
export function engineOf(adapter) {
  return ['redis', 'postgres'].find((name) => adapter.startsWith(name)) ?? adapter;
}

/** Starts a real engine. It ends with this process, because its standard input does. */
export async function engine(kind) {
  const child = spawn(program('ENGINES'), [kind], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (start) => {
    const { value, done } = await lines.next();
    if (done || !value.startsWith(start)) throw new Error(`the engine ${kind} answered ${value}`);
    return value.slice(start.length);
  };
  const command = async (word) => {
    child.stdin.write(`${word}\n`);
    await line('OK');
  };
  const url = await line('READY ');
  return {
    kind,
    url,
    kill: () => command('kill'),
    restart: () => command('restart'),
    pause: () => command('pause'),
    resume: () => command('resume'),
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await ended;
    },
  };
}

/** A prefix that no other test on the engine uses. */
export function prefix() {
  prefixes += 1;
  return `p${process.pid}x${prefixes}`;
}

/** Starts a node: our server (`rust`) or Node's (`node`). */
export async function node(kind, adapter, { url }, env = {}) {
  const [which, RELEASE] = kind.split('@');
  const release = RELEASE && { RELEASE, RELEASES: program('RELEASES') };
  const [path, args] = which === 'rust' ? [program('CLUSTER_NODE')] : [process.execPath, [NODE]];
  const server = await start(path, { ADAPTER: adapter, URL: url, NAME: kind, ...release, ...env }, args);
  return Object.assign(server, { kind, name: env.NAME ?? kind });
}

/** Creates a client that records every event as `[event, ...args]` in `heard`. If `lost` is given, the client claims its session. */
function recorder(server, { namespace = '/', auth = {}, lost, ...options } = {}) {
  const socket = client(server, { namespace, auth, transports: ['websocket'], autoConnect: false, ...options });
  if (lost) Object.assign(socket, { _pid: lost._pid, _lastOffset: lost._lastOffset });
  socket.heard = [];
  socket.onAny((...args) => {
    const ack = typeof args.at(-1) === 'function' ? args.pop() : undefined;
    socket.heard.push(args);
    if (socket.answer === NOTHING) ack?.();
    else ack?.(socket.answer === undefined ? socket.id : socket.answer);
  });
  socket.op = (op, fields = {}) => within(socket.emitWithAck('op', { op, ...fields }), `the result of ${op}`);
  return socket;
}

/** Connects a client that records every event. */
export async function member(server, options) {
  const socket = recorder(server, options);
  await event(socket.connect(), 'connect');
  return socket;
}

/**
 * Connects one client to each of these servers. All claim the session of `lost` at once. Returns the client that keeps it, and the clients
 * with new sessions. A later claim takes the session over, and closes the connection that had it, perhaps before its client is connected.
 */
export async function claimants(servers, lost) {
  const sockets = servers.map((server) => recorder(server, { lost, reconnection: false }));
  await Promise.all(sockets.map((socket) => {
    const ends = [event(socket, 'connect'), event(socket, 'disconnect')];
    socket.connect();
    return Promise.race(ends);
  }));
  const connected = (recovered) => sockets.filter((socket) => socket.connected && socket.recovered === recovered);
  await eventually(() => connected(true).length === 1, 'one client has the session');
  return { heir: connected(true)[0], fresh: connected(false) };
}

/** Resolves with the first truthy result of `condition`. */
export async function eventually(condition, what, patience = 60_000) {
  const deadline = Date.now() + patience;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await sleep(20);
  }
}

/** Waits until an event from each member reaches all members. */
export async function together(...members) {
  const reaches = async (from) => {
    const tag = `together-${from.id}`;
    await eventually(async () => {
      await from.op('emit', { event: tag });
      await sleep(20);
      return members.every((member) => member.heard.some(([name]) => name === tag));
    }, `all members hear ${from.id}`);
  };
  await Promise.all(members.map(reaches));
  await sleep(100);
  members.forEach((member) => member.heard.splice(0));
}

/**
 * Waits until events to a room reach these members. A node's subscription to the channel of a new room may take effect after its socket
 * is in the room.
 */
export async function reachable(sender, room, members) {
  const tag = `together-${room}`;
  await eventually(async () => {
    await sender.op('emit', { to: [room], event: tag });
    await sleep(20);
    return members.every(({ heard }) => heard.some(([name]) => name === tag));
  }, `all members of ${room} hear an event to it`);
  await sleep(100);
  members.forEach(({ heard }) => heard.splice(0));
}

/** Waits until an event from each sender has reached all members. Returns and clears the events recorded before. */
export async function settled(members, ...senders) {
  for (const sender of senders) {
    const tag = `fence-${sender.id}`;
    await sender.op('emit', { event: tag });
    await eventually(() => members.every(({ heard }) => heard.some(([name]) => name === tag)), `all members hear ${tag}`);
  }
  await sleep(15);
  // An event of `together` may be late.
  return members.map(({ heard }) => heard.splice(0).filter(([name]) => !/^(fence|together)-/.test(name)));
}

/** Asserts that these members, and no others, hear this message once. `all` maps names to members. */
export async function assertHeard(all, sender, names, message) {
  // Node's adapter for PostgreSQL has several connections, so a later message may arrive first.
  await eventually(() => names.every((name) => all[name].heard.length > 0), 'all of them have heard the message', 20_000).catch(() => {});
  const heard = await settled(Object.values(all), sender);
  const who = Object.keys(all).filter((_, i) => heard[i].length > 0);
  assert.deepEqual(who, Object.keys(all).filter((name) => names.includes(name)));
  // Only the beginning of a value is printed. A full diff would fill the screen.
  heard.flat().forEach((each) => assert.ok(isDeepStrictEqual(each, message), `the received message differs: ${inspect(each).slice(0, 500)}`));
  assert.equal(heard.flat().length, names.length, 'a client heard the message twice');
}
