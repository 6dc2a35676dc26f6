// What a cluster lives through: its engine dies, hangs and comes back; nodes die, hang, and hear nonsense. Nobody crashes,
// nobody waits for ever, clients of the same node go on talking, and afterwards all is as before.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { engine, engineOf, eventually, member, node, prefix, together } from '../lib/cluster.mjs';
import { nonsense } from '../lib/hostile.mjs';
import { MIXES, title } from '../lib/mixes.mjs';

/** Longer than any deadline of a request (5 s), and than it takes to notice that a node is silent (10 s). */
const PATIENCE = 15_000;
/** Node alone as well, which does not live through all of it. */
const ALL = process.env.MIXES?.includes('node+node');

// Most of it is waiting, so the mixes do it at the same time, each with an engine of its own.
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

    /** Two nodes that know each other. The first is ours. */
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

    /** Clients of our node hear each other, whatever became of the rest. */
    async function assertLocal() {
      here.heard.splice(0);
      roommate.heard.splice(0);
      await here.op('emit', { event: 'local', args: [1] });
      await eventually(() => roommate.heard.length > 0 && here.heard.length > 0, 'clients of one node hear each other');
    }

    /** No question stays open. Whether it is answered or fails is another matter. */
    async function assertAnswered() {
      const started = Date.now();
      const answers = await Promise.all([
        here.op('emitWithAck', { event: 'q', timeout: 500 }, PATIENCE),
        here.op('fetchSockets', {}, PATIENCE),
        here.op('serverSideEmitWithAck', { args: ['q'] }, PATIENCE),
        here.op('serverCount', {}, PATIENCE),
        here.op('socketsJoin', { rooms: ['while'] }, PATIENCE),
      ]);
      assert.ok(Date.now() - started < PATIENCE);
      return answers;
    }

    /** All is as before: both ways, rooms too, and questions. */
    async function assertWhole() {
      await together(here, there, roommate);
      for (const [from, to] of [[here, there], [there, here]]) {
        await eventually(async () => {
          await from.op('emit', { to: ['room'], event: 'again' });
          return to.heard.some(([name]) => name === 'again');
        }, 'rooms reach the other node again');
        await eventually(async () => {
          const { error, responses } = await from.op('serverSideEmitWithAck', { args: ['who'] }, PATIENCE);
          return error === null && responses.length === 1;
        }, 'the other node answers again', 30_000);
        const found = await from.op('fetchSockets', { to: ['room'] });
        assert.deepEqual(found.map(({ id }) => id), [here.id, there.id].sort());
      }
    }

    test('the engine crashes and comes back', async () => {
      await up();
      await bus.kill();
      await assertLocal();
      await assertAnswered();
      await bus.restart();
      await assertWhole();
    });
    test('the engine hangs and goes on', async () => {
      await up();
      await bus.pause();
      await assertLocal();
      await assertAnswered();
      await bus.resume();
      await assertWhole();
    });
    test('the other node dies without a word', async () => {
      await up();
      await nodes[1].stop('SIGKILL');
      await assertLocal();
      await assertAnswered();
      await eventually(async () => (await here.op('serverCount')) === 1, 'it is forgotten');
      assert.deepEqual(await here.op('serverSideEmitWithAck', { args: ['q'] }), { responses: [], error: null });
    });
    test('the other node leaves', async () => {
      await up();
      await nodes[1].stop();
      await eventually(async () => (await here.op('serverCount')) === 1, 'it is forgotten', 5000);
      assert.deepEqual(await here.op('serverSideEmitWithAck', { args: ['q'] }), { responses: [], error: null });
    });
    test('the other node hangs and goes on', async () => {
      await up();
      nodes[1].signal('SIGSTOP');
      await assertLocal();
      const [{ error, responses }] = await assertAnswered();
      assert.equal(typeof error, 'string');
      assert.deepEqual(responses.sort(), [here.id, roommate.id].sort());
      nodes[1].signal('SIGCONT');
      await assertWhole();
    });
    // What others make of nonsense is theirs to say.
    if (mix.kinds.every((kind) => kind === 'rust')) test('nonsense on the bus changes nothing', async () => {
      await up();
      await nonsense(mix.adapter, bus.url, PREFIX);
      await assertLocal();
      await assertWhole();
      nodes.forEach((server) => assert.doesNotMatch(server.output(), /panicked/));
    });
    test('our node is there when it says so', async () => {
      await up();
      const third = await node('rust', mix.adapter, bus, { PREFIX, NAME: 'third' });
      nodes.push(third);
      const late = await client(third);
      await there.op('emit', { event: 'first' });
      await eventually(() => late.heard.some(([name]) => name === 'first'), 'it hears the first word', 3000);
    });
  });
}
