// Names of PostgreSQL's channels have at most 63 bytes. Node's adapter accepts longer ones and cannot use them.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, afterEach, before, describe, test } from 'node:test';

import { engine, eventually, member, node, together } from '../lib/cluster.mjs';

/** Returns a prefix with which the channel of a namespace has `bytes` bytes. */
const prefixFor = (namespace, bytes) => 'p'.repeat(bytes - `#${namespace}`.length);

describe('names of channels', { concurrency: 1 }, () => {
  let bus;
  const nodes = [];
  const clients = [];
  before(async () => {
    bus = await engine('postgres');
  });
  after(() => bus.stop());
  afterEach(async () => {
    clients.splice(0).forEach((client) => client.disconnect());
    await Promise.all(nodes.splice(0).map((server) => server.stop('SIGKILL')));
  });

  async function start(kinds, PREFIX) {
    nodes.push(...(await Promise.all(kinds.map((kind, i) => node(kind, 'postgres', bus, { PREFIX, NAME: `${kind} ${i}` })))));
  }

  /** Connects a client to each of these nodes. */
  async function connect(servers, namespace = '/') {
    const connected = await Promise.all(servers.map((server) => member(server, { namespace })));
    clients.push(...connected);
    return connected;
  }

  for (const kinds of [
    ['node', 'node'],
    ['rust', 'node'],
  ]) {
    test(`${kinds.join(' → ')}: a channel of 63 bytes is used`, async () => {
      await start(kinds, prefixFor('/chat', 63));
      for (const namespace of ['/', '/chat']) await together(...(await connect(nodes, namespace)));
    });
  }

  test("a namespace with a longer channel stays on its own node with Node's adapter, and other namespaces still work", async () => {
    await start(['node', 'node'], prefixFor('/chat', 64));
    const [here, roommate, there] = await connect([nodes[0], nodes[0], nodes[1]], '/chat');
    await here.op('emit', { event: 'x', args: [1] });
    await here.op('emit', { event: 'x', args: [Buffer.from([0, 255])] });
    await eventually(() => roommate.heard.length === 2, 'clients of one node hear each other');
    await together(...(await connect(nodes)));
    await sleep(500);
    assert.deepEqual(there.heard, []);
  });
});
