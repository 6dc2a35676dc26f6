// A proxy in front of an engine, which counts the commands that the nodes send.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Per kind of engine: a function that takes the bytes of one connection and returns the commands, and the bytes of an incomplete one. */
const READERS = { redis: readRedis, postgres: readPostgres, 'nats-jetstream': readNats };

/** Starts a proxy in front of an engine. `counts` maps the names of commands to their numbers. */
export async function counting({ kind, url }) {
  const counts = new Map();
  const target = new URL(url);
  const streams = new Set();
  const listener = createServer((client) => {
    const server = connect(Number(target.port), target.hostname);
    const state = { statements: new Map() };
    let rest = Buffer.alloc(0);
    client.on('data', (data) => {
      server.write(data);
      const read = READERS[kind](Buffer.concat([rest, data]), state);
      rest = read.rest;
      read.commands.forEach((name) => counts.set(name, (counts.get(name) ?? 0) + 1));
    });
    server.on('data', (data) => client.write(data));
    for (const [one, other] of [[client, server], [server, client]]) {
      streams.add(one);
      one.on('error', () => {}).on('close', () => streams.delete(one) && other.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const seen = new URL(url);
  seen.port = listener.address().port;
  return {
    kind,
    url: seen.href,
    counts,
    stop() {
      listener.close();
      streams.forEach((stream) => stream.destroy());
    },
  };
}

/** Arrays of bulk strings. The name is the first word. */
function readRedis(bytes) {
  const commands = [];
  let start = 0;
  for (;;) {
    let at = start;
    const number = (sign) => {
      const end = bytes.indexOf('\r\n', at);
      if (end < 0) return NaN;
      const line = bytes.toString('latin1', at, end);
      if (line[0] !== sign) throw new Error(`not a command of Redis: ${line}`);
      at = end + 2;
      return Number(line.slice(1));
    };
    const words = [];
    for (let left = number('*'); left > 0 && at <= bytes.length; left -= 1) {
      const length = number('$');
      if (Number.isNaN(length)) return { commands, rest: bytes.subarray(start) };
      words.push(bytes.subarray(at, at + length));
      at += length + 2;
    }
    if (words.length === 0 || at > bytes.length) return { commands, rest: bytes.subarray(start) };
    commands.push(words[0].toString().toUpperCase());
    start = at;
  }
}

/** A statement is counted when it is executed. The name is its verb with its table or function. */
function readPostgres(bytes, state) {
  const commands = [];
  let start = 0;
  const text = (at) => bytes.toString('utf8', at, bytes.indexOf(0, at));
  for (;;) {
    // The first messages, up to that with the version of the protocol, have no type.
    const head = state.started ? 1 : 0;
    if (bytes.length < start + head + 4) break;
    const end = start + head + bytes.readInt32BE(start + head);
    if (bytes.length < end) break;
    const body = start + head + 4;
    if (!state.started) {
      state.started = bytes.readInt32BE(body) === 196_608;
    } else {
      const type = String.fromCharCode(bytes[start]);
      const after = body + Buffer.byteLength(text(body)) + 1;
      if (type === 'P') state.statements.set(text(body), text(after));
      if (type === 'Q') commands.push(statement(text(body)));
      if (type === 'B') commands.push(statement(state.statements.get(text(after)) ?? ''));
    }
    start = end;
  }
  return { commands, rest: bytes.subarray(start) };
}

/** The verb of a statement and its table, or `NOTIFY`. */
function statement(sql) {
  const [, verb, table] = /(INSERT INTO|DELETE FROM|FROM) socket_io_(\w+)/.exec(sql) ?? [];
  if (table) return `${verb === 'FROM' ? 'SELECT' : verb.split(' ')[0]} ${table}`;
  return sql.includes('pg_notify') ? 'NOTIFY' : sql.trim().split(/\s/)[0];
}

/** A published message is named by the kind of its subject, and a request to JetStream by its verb and stream. */
function readNats(bytes) {
  const commands = [];
  let start = 0;
  for (;;) {
    const end = bytes.indexOf('\r\n', start);
    if (end < 0) break;
    const words = bytes.toString('latin1', start, end).split(' ');
    const payload = /^H?PUB$/i.test(words[0]) ? Number(words.at(-1)) + 2 : 0;
    if (bytes.length < end + 2 + payload) break;
    commands.push(payload === 0 ? words[0] : subject(words[1]));
    start = end + 2 + payload;
  }
  return { commands, rest: bytes.subarray(start) };
}

function subject(text) {
  const [, verb, stream] = /^\$JS\.API\.STREAM\.(?:MSG\.)?(\w+)\.\S*-(\w+)$/.exec(text) ?? [];
  if (stream) return `${verb} ${stream}`;
  const kind = text.split('.').find((word) => ['log', 'session', 'node', 'all'].includes(word));
  return kind ? `PUB ${kind}` : `PUB ${text}`;
}
