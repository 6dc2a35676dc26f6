// Faults of a cluster: the engine crashes, hangs and comes back; nodes crash, hang and receive malformed messages. No node crashes, no
// request waits for ever, clients of the same node still reach each other, and afterwards the cluster works as before.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { engine, engineOf, eventually, member, node, prefix, together } from '../lib/cluster.mjs';
import { nonsense } from '../lib/hostile.mjs';
import { MIXES, title } from '../lib/mixes.mjs';

/** On request also Node alone, which does not pass all tests. */
const ALL = process.env.MIXES?.includes('node+node');

// The tests mostly wait, so the mixes run in parallel, each with its own engine.
describe('faults', { concurrency: 9 }, () => MIXES.filter(({ kinds }) => kinds.includes('rust') || ALL).forEach(lives));

function lives(mix) {
  describe(title(mix), { concurrency: 1 }, () => {
    let bus, nodes, here, there, roommate;
    const clients = [];
    const client = async (server, options) => {
      const socket = await member(server, options);
      clients.push(socket);
      return socket;
    };
    const PREFIX = prefix();
    before(async () => {
      bus = await engine(engineOf(mix.adapter));
    });
    after(() => bus.stop());

    /** Two nodes that have found each other. The first is ours. */
    async function up() {
      nodes = await Promise.all(mix.kinds.map((kind, i) => node(kind, mix.adapter, bus, { PREFIX, NAME: `${kind} ${i}` })));
      [here, there] = await Promise.all(nodes.map((server) => client(server, { auth: { join: ['room'] } })));
      roommate = await client(nodes[0]);
      await together(here, there, roommate);
    }
    afterEach(async () => {
      clients.splice(0).forEach((socket) => socket.disconnect());
      await Promise.all(nodes.map((server) => server.stop('SIGKILL')));
    });

    /** Checks that clients of our node reach each other, even if the rest of the cluster does not work. */
    async function assertLocal() {
      here.heard.splice(0);
      roommate.heard.splice(0);
      await here.op('emit', { event: 'local', args: [1] });
      await eventually(() => roommate.heard.length > 0 && here.heard.length > 0, 'clients of one node hear each other');
    }

    /** Checks that requests end, with a result or an error. */
    async function assertAnswered() {
      return Promise.all([
        here.op('emitWithAck', { event: 'q', timeout: 3000 }),
        here.op('fetchSockets'),
        here.op('serverSideEmitWithAck', { args: ['q'] }),
        here.op('serverCount'),
        here.op('socketsJoin', { rooms: ['while'] }),
      ]);
    }

    /** Checks events in both directions, rooms and requests. */
    async function assertWhole() {
      await together(here, there, roommate);
      for (const [from, to] of [[here, there], [there, here]]) {
        await eventually(async () => {
          await from.op('emit', { to: ['room'], event: 'again' });
          return to.heard.some(([name]) => name === 'again');
        }, 'rooms reach the other node again');
        await eventually(async () => {
          const { error, responses } = await from.op('serverSideEmitWithAck', { args: ['who'] });
          return error === null && responses.length === 1;
        }, 'the other node answers again');
        const found = await from.op('fetchSockets', { to: ['room'] });
        assert.deepEqual(found.map(({ id }) => id), [here.id, there.id].sort());
      }
    }

    test('the cluster works again after a crash of the engine', async () => {
      await up();
      await bus.kill();
      await assertLocal();
      await assertAnswered();
      await bus.restart();
      await assertWhole();
    });
    test('the cluster works again after the engine has hung', async () => {
      await up();
      await bus.pause();
      await assertLocal();
      await assertAnswered();
      await bus.resume();
      await assertWhole();
    });
    test('our node goes on after a crash of the other node', async () => {
      await up();
      await nodes[1].stop('SIGKILL');
      await assertLocal();
      await assertAnswered();
      await eventually(async () => (await here.op('serverCount')) === 1, 'it is forgotten');
      assert.deepEqual(await here.op('serverSideEmitWithAck', { args: ['q'] }), { responses: [], error: null });
    });
    test('our node goes on after the other node has left', async () => {
      await up();
      await nodes[1].stop();
      // Without a goodbye, which MongoDB's protocol does not have, this takes 10 seconds.
      await eventually(async () => (await here.op('serverCount')) === 1, 'it is forgotten');
      assert.deepEqual(await here.op('serverSideEmitWithAck', { args: ['q'] }), { responses: [], error: null });
    });
    test('the cluster works again after the other node has hung', async () => {
      await up();
      nodes[1].signal('SIGSTOP');
      await assertLocal();
      const [{ error, responses }] = await assertAnswered();
      assert.equal(typeof error, 'string');
      assert.deepEqual(responses.sort(), [here.id, roommate.id].sort());
      nodes[1].signal('SIGCONT');
      await assertWhole();
    });
    // Node's servers are not tested with malformed messages.
    if (mix.kinds.every((kind) => kind === 'rust')) test('malformed messages on the bus have no effect', async () => {
      await up();
      await nonsense(mix.adapter, bus.url, PREFIX);
      await assertLocal();
      await assertWhole();
      nodes.forEach((server) => assert.doesNotMatch(server.output(), /panicked/));
    });
    test('our node is reachable once it reports that it is ready', async () => {
      await up();
      const third = await node('rust', mix.adapter, bus, { PREFIX, NAME: 'third' });
      nodes.push(third);
      const late = await client(third);
      await there.op('emit', { event: 'first' });
      await eventually(() => late.heard.some(([name]) => name === 'first'), 'it hears the first word');
    });
  });
}
