// Our emitter, with the methods of Node's, so that the same tests can be put to both.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { program } from './server.mjs';

/** What the address begins with that tells our emitter what to speak, by adapter or engine. */
const SCHEMES = { 'redis-sharded': 'redis+sharded', 'redis-streams': 'redis+streams', 'nats-jetstream': 'nats+jetstream' };

/** The address that our emitter's programs take. */
export function addressOf(adapter, { kind, url }) {
  const scheme = SCHEMES[adapter] ?? SCHEMES[kind];
  return scheme ? url.replace(/^\w+:/, `${scheme}:`) : url;
}

/** Starts one; gives it and how to end it. What it is told first happens first, and resolves when the engine has it. */
export async function ourEmitter(adapter, bus) {
  const child = spawn(program('ORDERS'), [addressOf(adapter, bus)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (wanted) => {
    const { value } = await lines.next();
    if (value !== wanted) throw new Error(`our emitter did not do it: ${value}`);
  };
  await answer('READY');
  let last = Promise.resolve();
  const obey = (order) => {
    child.stdin.write(`${JSON.stringify(order)}\n`);
    last = last.then(() => answer('OK'));
    return last;
  };
  const end = async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.end();
    await ended;
  };
  return [new Operator(obey, { nsp: '/', to: [], except: [] }), end];
}

class Operator {
  #obey;
  #order;
  constructor(obey, order) {
    this.#obey = obey;
    this.#order = order;
  }
  #but(change) {
    return new Operator(this.#obey, { ...this.#order, ...change });
  }
  #do(deed, fields) {
    return this.#obey({ do: deed, ...this.#order, ...fields });
  }
  of(nsp) {
    return this.#but({ nsp });
  }
  to(rooms) {
    return this.#but({ to: this.#order.to.concat(rooms) });
  }
  in(rooms) {
    return this.to(rooms);
  }
  except(rooms) {
    return this.#but({ except: this.#order.except.concat(rooms) });
  }
  get volatile() {
    return this.#but({ volatile: true });
  }
  compress(compress) {
    return this.#but({ compress });
  }
  emit(...args) {
    return this.#do('emit', { args });
  }
  socketsJoin(rooms) {
    return this.#do('socketsJoin', { rooms: [rooms].flat() });
  }
  socketsLeave(rooms) {
    return this.#do('socketsLeave', { rooms: [rooms].flat() });
  }
  disconnectSockets(close = false) {
    return this.#do('disconnectSockets', { close });
  }
  serverSideEmit(...args) {
    return this.#do('serverSideEmit', { args });
  }
}
