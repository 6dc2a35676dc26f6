// The public JavaScript client with short delays.

import { io as latest } from 'socket.io-client';

import { within } from './raw.mjs';

const open = new Set();

/**
 * Creates a client that reconnects quickly and has its own connection, unless the options say
 * otherwise. `io` selects another version of the client.
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

/** Connects to another namespace over the connection of a client. */
export function join(socket, namespace, options) {
  const other = socket.io.socket(namespace, options);
  open.add(other);
  return other;
}

/** Creates a client and waits until it is connected. */
export async function connected(server, options) {
  const socket = client(server, options);
  await event(socket, 'connect');
  return socket;
}

/** The arguments of the next event with this name. Works with sockets, managers and engines. */
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
