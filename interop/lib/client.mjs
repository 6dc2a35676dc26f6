// The public JavaScript client, with its waiting made short.

import { io as latest } from 'socket.io-client';

import { within } from './raw.mjs';

const open = new Set();

/**
 * A client that does not share its connection with others unless asked to, and that reconnects quickly. Of another
 * version where `io` is that version's.
 */
export function client(server, options = {}) {
  const { namespace = '/', io = latest, ...rest } = options;
  const socket = io(`${server.url}${namespace}`, {
    forceNew: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 100,
    ...rest,
  });
  open.add(socket);
  return socket;
}

/** Joins another namespace over a client's connection. */
export function join(socket, namespace, options) {
  const other = socket.io.socket(namespace, options);
  open.add(other);
  return other;
}

/** A connected client. */
export async function connected(server, options) {
  const socket = client(server, options);
  await event(socket, 'connect');
  return socket;
}

/** The arguments of the next event of that name. Works with sockets, managers and engines alike. */
export function event(emitter, name) {
  return within(new Promise((resolve) => emitter.once(name, (...args) => resolve(args))), `\`${name}\``);
}

/** Resolves once the connection has left polling. */
export async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name !== 'websocket') await event(engine, 'upgrade');
}

export function closeAll() {
  open.forEach((socket) => socket.disconnect());
  open.clear();
}
