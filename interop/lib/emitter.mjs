// Our emitter with the methods of Node's, so that the same tests can run with both.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { program } from './server.mjs';

/** The scheme that selects the protocol of our emitter, by adapter or engine, if the engine's own does not. */
const SCHEMES = {
  'redis-sharded': 'redis+sharded',
  'redis-streams': 'redis+streams',
  'postgres-log': 'postgres+log',
  'nats-jetstream': 'nats+jetstream',
};

/** The address for the programs of our emitter. */
export function addressOf(adapter, { kind, url }) {
  const scheme = SCHEMES[adapter] ?? SCHEMES[kind];
  return scheme ? url.replace(/^\w+:/, `${scheme}:`) : url;
}

/** Starts our emitter. Returns it and a function that ends it. Its operations run in order, and resolve when the engine has the message. */
export async function ourEmitter(adapter, bus) {
  const child = spawn(program('ORDERS'), [addressOf(adapter, bus)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (wanted) => {
    const { value } = await lines.next();
    if (value !== wanted) throw new Error(`our emitter answered ${value}`);
  };
  await answer('READY');
  let last = Promise.resolve();
  const execute = (order) => {
    child.stdin.write(`${JSON.stringify(order)}\n`);
    last = last.then(() => answer('OK'));
    return last;
  };
  const end = async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.end();
    await ended;
  };
  return [new Operator(execute, { nsp: '/', to: [], except: [] }), end];
}

class Operator {
  #execute;
  #order;
  constructor(execute, order) {
    this.#execute = execute;
    this.#order = order;
  }
  #with(change) {
    return new Operator(this.#execute, { ...this.#order, ...change });
  }
  #do(operation, fields) {
    return this.#execute({ do: operation, ...this.#order, ...fields });
  }
  of(nsp) {
    return this.#with({ nsp });
  }
  to(rooms) {
    return this.#with({ to: this.#order.to.concat(rooms) });
  }
  in(rooms) {
    return this.to(rooms);
  }
  except(rooms) {
    return this.#with({ except: this.#order.except.concat(rooms) });
  }
  get volatile() {
    return this.#with({ volatile: true });
  }
  compress(compress) {
    return this.#with({ compress });
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
