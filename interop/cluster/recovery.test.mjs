// A client that loses its connection to one node and reconnects to another misses no event. The engines are those with a log: Redis with
// streams, MongoDB, PostgreSQL with tables, and NATS with JetStream.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { claimants, engine, eventually, member, node, settled, together } from '../lib/cluster.mjs';
import { closeAll } from '../lib/client.mjs';
import { ourEmitter } from '../lib/emitter.mjs';

const WAYS = [
  ...[['rust', 'node'], ['node', 'rust'], ['rust', 'rust'], ['node', 'node']].map((kinds) => ['redis-streams', kinds, 'redis']),
  ['mongodb', ['rust', 'rust'], 'mongodb'],
  ['mongodb-ttl', ['rust', 'rust'], 'mongodb'],
  // Node has no such adapters.
  ['postgres-log', ['rust', 'rust'], 'postgres'],
  ['nats', ['rust', 'rust'], 'nats-jetstream'],
];

/** The events that a client has heard, without their offsets, which the engine assigns. Late events of `together` are left out too. */
function names({ heard }) {
  return heard.splice(0).filter(([name]) => !/^(fence|together)-/.test(name)).map(([name, n]) => `${name} ${n}`);
}

for (const [adapter, kinds, kind] of WAYS) {
  describe(`${adapter}, ${kinds.join(' → ')}`, () => {
    let bus, nodes;
    before(async () => {
      bus = await engine(kind);
      nodes = await Promise.all(kinds.map((kind, i) => node(kind, adapter, bus, { RECOVERY: '1', NAME: `${kind} ${i}` })));
    });
    afterEach(closeAll);
    after(async () => {
      await Promise.all((nodes ?? []).map((server) => server.stop()));
      await bus?.stop();
    });

    /** A client in `room`, and a client on each node that stays connected. All can reach each other. */
    async function cast() {
      const others = await Promise.all(nodes.map((server) => member(server)));
      const lost = await member(nodes[0], { auth: { join: ['room'], data: { name: 'ü' } }, reconnection: false });
      await together(lost, ...others);
      await others[0].op('emit', { event: 'before' });
      await eventually(() => lost.heard.some(([name]) => name === 'before'), 'it has an offset');
      return { lost, others };
    }

    /** Ends the client's connection without a DISCONNECT packet, and waits until the node notices. */
    async function lose(socket, witness) {
      const was = socket.id;
      socket.io.engine.close();
      await eventually(async () => !(await witness.op('fetchSockets')).some(({ id }) => id === was), 'it is gone');
    }

    test('each event arrives exactly once', async () => {
      const { lost, others: [first, second] } = await cast();
      const { id } = lost;
      await lose(lost, first);
      for (const [n, from] of [first, second, first].entries()) {
        await from.op('emit', { event: 'all', args: [n] });
        await from.op('emit', { event: 'room', to: ['room'], args: [n] });
        await from.op('emit', { event: 'id', to: [id], args: [n] });
        await from.op('emit', { event: 'other', to: ['another'], args: [n] });
        await from.op('emit', { event: 'except', except: ['room'], args: [n] });
        await from.op('emit', { event: 'binary', args: [n, Buffer.from([n])] });
        await settled([first, second], from);
      }
      const back = await member(nodes[1], { lost });
      assert.equal(back.recovered, true);
      assert.equal(back.id, id);
      await second.op('emit', { event: 'live', args: [3] });
      await eventually(() => back.heard.some(([name]) => name === 'live'), 'it hears what is new');
      const wanted = [0, 1, 2].flatMap((n) => [`all ${n}`, `room ${n}`, `id ${n}`, `binary ${n}`]);
      assert.deepEqual(names(back), [...wanted, 'live 3']);
    });
    test('events of an emitter during the interruption arrive', async () => {
      const { lost, others: [first, second] } = await cast();
      const [emitter, end] = await ourEmitter(adapter, bus);
      await lose(lost, first);
      await emitter.emit('all', 1);
      await emitter.to('room').except('other').emit('room', 2, Buffer.from([7]));
      await emitter.to('other').emit('other');
      await emitter.of('/chat').emit('chat');
      await end();
      await settled([first, second], first);
      const back = await member(nodes[1], { lost });
      assert.equal(back.recovered, true);
      await eventually(() => back.heard.some(([name]) => name === 'room'), 'it hears what it missed');
      assert.deepEqual(names(back), ['all 1', 'room 2']);
    });
    test('rooms and data are restored, and a second interruption is survived', async () => {
      const { lost, others } = await cast();
      let [socket, at] = [lost, 0];
      for (const n of [1, 2, 3]) {
        const { id } = socket;
        await lose(socket, others[at]);
        await others[at].op('emit', { event: 'missed', to: ['room'], args: [n] });
        at = 1 - at;
        socket = await member(nodes[at], { lost: socket, reconnection: false });
        assert.equal(socket.recovered, true);
        assert.equal(socket.id, id);
        await eventually(() => socket.heard.some(([name]) => name === 'missed'), 'it hears what it missed');
        assert.deepEqual(names(socket), [`missed ${n}`]);
        const found = (await others[1 - at].op('fetchSockets')).find((other) => other.id === id);
        assert.deepEqual([found.rooms, found.data], [[id, 'room'].sort(), { name: 'ü' }]);
      }
    });
    test('only one client keeps a session that several claim, and an unknown session is not restored', async () => {
      const { lost, others } = await cast();
      const { id } = lost;
      await lose(lost, others[0]);
      const { heir, fresh } = await claimants([0, 1, 1].map((i) => nodes[i]), lost);
      assert.equal(heir.id, id);
      assert.equal((await others[0].op('fetchSockets')).filter((socket) => socket.id === id).length, 1);
      const ids = [heir, ...fresh].map((socket) => socket.id);
      assert.equal(new Set(ids).size, ids.length);
      const stranger = await member(nodes[1], { lost: { _pid: 'x'.repeat(20), _lastOffset: lost._lastOffset } });
      assert.equal(stranger.recovered, false);
    });
    test('an invalid offset starts a new session', async () => {
      const { lost, others } = await cast();
      await lose(lost, others[0]);
      for (const _lastOffset of ['x', '0-0', '-', '$', '9999999999999-0', '0-1-0', '']) {
        const fresh = await member(nodes[1], { lost: { _pid: lost._pid, _lastOffset } });
        assert.equal(fresh.recovered, false);
      }
    });
  });
}

describe('postgres-log beside Node', () => {
  let bus, nodes;
  before(async () => {
    bus = await engine('postgres');
    // Without a log, Node's servers would append `null` to every event.
    const starting = ['rust', 'rust', 'node'].map((kind) => node(kind, 'postgres-log', bus, kind === 'rust' ? { RECOVERY: '1' } : {}));
    nodes = await Promise.all(starting);
  });
  afterEach(closeAll);
  after(async () => {
    await Promise.all((nodes ?? []).map((server) => server.stop()));
    await bus?.stop();
  });

  test("Node's clients get each event once, and ours get Node's events while they are connected", async () => {
    const others = await Promise.all(nodes.map((server) => member(server)));
    const lost = await member(nodes[0], { reconnection: false });
    await together(lost, ...others);
    await others[0].op('emit', { event: 'before' });
    const knows = ({ heard }) => heard.some(([name]) => name === 'before');
    await eventually(() => [lost, ...others].every(knows), 'it has an offset, and the others expect no more');
    const was = lost.id;
    lost.io.engine.close();
    await eventually(async () => !(await others[0].op('fetchSockets')).some(({ id }) => id === was), 'it is gone');
    const messages = [['missed'], ['large', 'x'.repeat(20_000)], ['binary', Buffer.alloc(100)]];
    for (const other of others) names(other);
    for (const [n, from] of others.entries()) {
      for (const [event, ...args] of messages) await from.op('emit', { event, args: [n, ...args] });
      const hears = ({ heard }) => messages.every(([event]) => heard.some(([name]) => name === event));
      await eventually(() => others.every(hears), 'all hear the messages');
      // Node's server has several connections, so its messages arrive in any order.
      for (const other of others) assert.deepEqual(names(other).sort(), messages.map(([event]) => `${event} ${n}`).sort());
    }
    const back = await member(nodes[1], { lost });
    assert.equal(back.recovered, true);
    await others[2].op('emit', { event: 'live', args: [2] });
    await eventually(() => [back, ...others].every(({ heard }) => heard.some(([name]) => name === 'live')), "all hear Node's event");
    await others[0].op('emit', { event: 'end', args: [0] });
    await eventually(() => [back, ...others].every(({ heard }) => heard.some(([name]) => name === 'end')), 'all hear the end');
    const missed = [0, 1].flatMap((n) => [`missed ${n}`, `large ${n}`, `binary ${n}`]);
    assert.deepEqual(names(back), [...missed, 'live 2', 'end 0']);
    for (const other of others) assert.deepEqual(names(other), ['live 2', 'end 0']);
  });
});

// Node's adapter reads missed events in the order of their ids, which is random within a second if several of Node's servers sent them, and
// sends them without their offsets. Two claims at once both get a session from it. So Node's server restores events of ours here, and each
// session after another event and for one client.
for (const adapter of ['mongodb', 'mongodb-ttl']) {
  describe(`${adapter} beside Node`, () => {
    let bus, ours, theirs;
    before(async () => {
      bus = await engine('mongodb');
      [ours, theirs] = await Promise.all(['rust', 'node'].map((kind) => node(kind, adapter, bus, { RECOVERY: '1' })));
    });
    afterEach(closeAll);
    after(async () => {
      await Promise.all([ours, theirs].map((server) => server?.stop()));
      await bus?.stop();
    });

    test('a session moves from server to server with the events that its client missed', async () => {
      const others = await Promise.all([ours, theirs].map((server) => member(server)));
      let socket = await member(ours, { auth: { join: ['room'], data: { name: 'ü' } }, reconnection: false });
      await together(socket, ...others);
      const { id } = socket;
      for (const [n, to, claims] of [[1, theirs, 1], [2, ours, 3], [3, theirs, 1], [4, ours, 1], [5, ours, 1]]) {
        const both = n > 3;
        await others[0].op('emit', { event: 'before', args: [n] });
        await eventually(() => socket.heard.some(([name, of]) => name === 'before' && of === n), 'it has an offset');
        socket.io.engine.close();
        await eventually(async () => !(await others[0].op('fetchSockets')).some((other) => other.id === id), 'it is gone');
        await others[0].op('emit', { event: 'all', args: [n] });
        await others[0].op('emit', { event: 'room', to: ['room'], args: [n] });
        await others[0].op('emit', { event: 'id', to: [id], args: [n, Buffer.from([n])] });
        await others[0].op('emit', { event: 'other', to: ['another'], args: [n] });
        await others[0].op('emit', { event: 'except', except: ['room'], args: [n] });
        if (both) await others[1].op('emit', { event: 'theirs', args: [n] });
        await settled(others, ...(both ? others : others.slice(0, 1)));
        const lost = socket;
        const { heir, fresh } = await claimants(Array(claims).fill(to), lost);
        assert.equal(heir.id, id);
        fresh.forEach((other) => other.disconnect());
        socket = heir;
        const found = (await others[1].op('fetchSockets')).find((other) => other.id === id);
        assert.deepEqual([found.rooms, found.data], [[id, 'room'].sort(), { name: 'ü' }]);
        await others[0].op('emit', { event: 'live', args: [n] });
        await eventually(() => socket.heard.some(([name]) => name === 'live'), 'it hears what is new');
        const wanted = ['all', 'room', 'id', ...(both ? ['theirs'] : []), 'live'].map((name) => `${name} ${n}`);
        assert.deepEqual(names(socket), wanted);
      }
    });
  });
}

// Their messages are in no log, so only the node that lost a session has its events.
for (const adapter of ['redis', 'redis-sharded']) {
  test(`${adapter}: a session is recovered on its own node, and not on another`, async () => {
    const bus = await engine('redis');
    const nodes = await Promise.all(['one', 'two'].map((NAME) => node('rust', adapter, bus, { RECOVERY: '1', CRASH_SAFE: '1', NAME })));
    try {
      const sender = await member(nodes[0]);
      for (const [back, recovered] of [[nodes[0], true], [nodes[1], false]]) {
        const lost = await member(nodes[0], { reconnection: false });
        await sender.op('emit', { event: 'before' });
        await eventually(() => lost.heard.some(([name]) => name === 'before'), 'it has an offset');
        const was = lost.id;
        lost.io.engine.close();
        const returned = await member(back, { lost });
        assert.deepEqual([returned.recovered, returned.id === was], [recovered, recovered]);
      }
    } finally {
      closeAll();
      await Promise.all(nodes.map((server) => server.stop()));
      await bus.stop();
    }
  });
}
