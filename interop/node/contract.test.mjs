// A contract of typed events is a valid AsyncAPI document for the parser of the AsyncAPI project, and gives the
// JavaScript client and Node's server types that the TypeScript compiler enforces.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { Parser } from '@asyncapi/parser';

import { program } from '../lib/server.mjs';

const text = execFileSync(program('CONTRACT_PRINTER'), { encoding: 'utf8' });
const parse = (document) => new Parser().parse(document);

test('the parser finds nothing to complain about', async () => {
  const { document, diagnostics } = await parse(text);
  // That there is a later version of AsyncAPI is no fault.
  const faults = diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version');
  assert.deepEqual(faults, []);
  assert.equal(document.info().title(), 'Chat');
});

test('channels are namespaces, operations are events', async () => {
  const { document } = await parse(text);
  const channels = document.channels().all();
  assert.deepEqual(channels.map((it) => it.address()), ['/', '/files/2']);
  const operations = document.operations().all();
  const seen = operations.map((it) => {
    const [message] = it.messages().all();
    return [it.action(), it.channels().all()[0].address(), message.name(), Boolean(it.reply())];
  });
  assert.deepEqual(seen, [
    ['receive', '/', 'say', true],
    ['receive', '/', 'user is typing…', false],
    ['send', '/', 'said', false],
    ['send', '/', 'alive?', true],
    ['receive', '/files/2', 'upload', true],
    ['send', '/files/2', 'user is typing…', false],
  ]);
});

test('types refer to one schema, also to themselves', async () => {
  const { document } = await parse(text);
  const schemas = document.components().schemas();
  assert.equal(schemas.get('Message').properties().text.type(), 'string');
  const [said] = document.operations().all()[2].messages().all();
  assert.equal(said.payload().items()[0].properties().text.type(), 'string');
});

test('the parser would complain', async () => {
  const { diagnostics } = await parse(text.replaceAll('"action": "send"', '"action": "shout"'));
  assert.ok(diagnostics.some(({ severity }) => severity === 0));
});

/** A page and a server that use the types of the contract. Each line after `@ts-expect-error` must not compile. */
const USES = `
import { io, Socket } from 'socket.io-client';
import { Server } from 'socket.io';
import type * as events from './events';

const socket: Socket<events.ServerToClientEvents, events.ClientToServerEvents> = io();
socket.on('said', (message) => console.log(message.text.length, message.author?.length));
socket.on('alive?', (ack) => ack(true));
socket.emit('say', 'lobby', { text: 'hi', reactions: { ':-)': 2 } }, (outcome) => {
  if (outcome.kind === 'accepted') console.log(outcome.id + 1);
  else console.log(outcome.why.length);
});
const outcome = await socket.timeout(60_000).emitWithAck('say', 'lobby', { text: 'hi', reactions: {} });
console.log(outcome.kind);
socket.emit('user is typing…');
const files: Socket<events.Files2ServerToClientEvents, events.Files2ClientToServerEvents> = io('/files/2');
console.log(1 + await files.emitWithAck('upload', 'a.png', new Uint8Array(3)));
const server = new Server<events.ClientToServerEvents, events.ServerToClientEvents, events.InterServerEvents, events.SocketData>();
server.on('connection', (socket) => {
  socket.data.nickName = 'Ada';
  socket.on('say', (room, message, ack) => ack({ kind: 'accepted', id: room.length + message.text.length }));
  socket.emit('said', { text: 'welcome', reactions: {} });
});
server.serverSideEmit('reload', 'now', () => {});

// @ts-expect-error: no such event
socket.emit('shout');
// @ts-expect-error: no such event of the server
socket.on('say', () => {});
// @ts-expect-error: another type of argument
socket.emit('say', 1, { text: 'hi', reactions: {} }, () => {});
// @ts-expect-error: a missing field
socket.emit('say', 'lobby', { text: 'hi' }, () => {});
// @ts-expect-error: another type of field
socket.on('said', (message) => message.text + message.reactions.length());
// @ts-expect-error: an ack of another type
socket.on('alive?', (ack) => ack('yes'));
// @ts-expect-error: no argument is expected
socket.emit('user is typing…', 1);
// @ts-expect-error: a value that is not binary
files.emitWithAck('upload', 'a.png', 'text');
// @ts-expect-error: other data
server.on('connection', (socket) => (socket.data.nickName = 3));
`;

/** Compiles the uses against the types. Returns the compiler's exit code and output. */
async function compile(types) {
  const folder = await mkdtemp(join(import.meta.dirname, 'contract-'));
  try {
    await writeFile(join(folder, 'events.ts'), types);
    await writeFile(join(folder, 'uses.ts'), USES);
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--lib', 'es2022,dom'];
    options.push('--module', 'esnext', '--moduleResolution', 'bundler', '--types', '', join(folder, 'uses.ts'));
    const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [compiler, ...options], { encoding: 'utf8' });
    return { status, stdout };
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('the types of a contract let right uses compile, and no wrong ones', async () => {
  const types = execFileSync(program('CONTRACT_PRINTER'), ['typescript'], { encoding: 'utf8' });
  assert.deepEqual(await compile(types), { status: 0, stdout: '' });
});

test('the compiler would complain about other types', async () => {
  const types = execFileSync(program('CONTRACT_PRINTER'), ['typescript'], { encoding: 'utf8' });
  const { status, stdout } = await compile(types.replace('said:', 'spoken:'));
  assert.notEqual(status, 0);
  assert.match(stdout, /"?said"?/);
});
