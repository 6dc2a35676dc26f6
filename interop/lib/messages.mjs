// Messages from one node to the clients of another, for each adapter and each mix of nodes, in both
// directions.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

import { NOTHING, assertHeard, engine, engineOf, eventually, member, node, prefix, reachable, settled, together } from './cluster.mjs';
import { event } from './client.mjs';
import { impossible, title } from './mixes.mjs';

const SPECIAL = ['r*', 'r?', '[r1]', 'ü🎈', '#', 'a#b', '"', "'; --", '0', 'x'.repeat(20), 'x'.repeat(300)];
const everyone = ['n0', 'n1', 'n12', 'f0', 'f1', 'f12'];
const binary = [Buffer.from([0, 255, 1]), { deep: [{ bytes: Buffer.alloc(300, 7) }] }, 'text', Buffer.alloc(0)];
const large = ['ü'.repeat(10_000), { list: Array.from({ length: 2000 }, (_, i) => i) }];
const numbers = [0, -1, 1.5, 2 ** 31, 2 ** 40, -(2 ** 40), Number.MAX_SAFE_INTEGER, null, true, '', [], {}];

/** A deadline, in ms, that no client reaches which sends its ack, even on a busy machine. */
const PATIENT = 30_000;

/**
 * Clients are named after their node, near (`n`) or far (`f`), and their rooms: `f12` is on the far
 * node in `r1` and `r2`. Each line: the name of the test, the sender, the operation, its fields,
 * and the recipients.
 */
const REACH = [
  ['an event to all clients', 'n0', 'emit', {}, everyone],
  ['an event to a room', 'n0', 'emit', { to: ['r1'] }, ['n1', 'n12', 'f1', 'f12']],
  ['an event to two rooms arrives once', 'n0', 'emit', { to: ['r1', 'r2'] }, ['n1', 'n12', 'f1', 'f12']],
  ['an event to an empty room', 'n0', 'emit', { to: ['nobody'] }, []],
  ['an event to all except a room', 'n0', 'emit', { except: ['r1'] }, ['n0', 'f0']],
  ['an event to a room except another', 'n0', 'emit', { to: ['r1'], except: ['r2'] }, ['n1', 'f1']],
  ['an event whose recipients are all excluded', 'n0', 'emit', { to: ['r2'], except: ['r1'] }, []],
  ['an event to one client by id', 'n0', 'emit', ({ f0 }) => ({ to: [f0.id] }), ['f0']],
  ['an event to all except one client by id', 'n0', 'emit', ({ f0 }) => ({ except: [f0.id] }), everyone.filter((name) => name !== 'f0')],
  ['a broadcast to all other clients', 'n0', 'broadcast', {}, everyone.filter((name) => name !== 'n0')],
  ['a broadcast to the other clients in a room', 'n1', 'broadcast', { to: ['r1'] }, ['n12', 'f1', 'f12']],
  ['an uncompressed event', 'n0', 'emit', { flags: { compress: false } }, everyone],
  ['an event for this node only', 'n0', 'emit', { flags: { local: true } }, ['n0', 'n1', 'n12']],
  ['binary data', 'n0', 'emit', { args: binary }, everyone],
  ['binary data to a room', 'n0', 'emit', { to: ['r1'], args: binary }, ['n1', 'n12', 'f1', 'f12']],
  ['a large event', 'n0', 'emit', { args: large }, everyone],
  ['numbers and empty values', 'n0', 'emit', { args: numbers }, everyone],
  ['an event without arguments', 'n0', 'emit', { args: [] }, everyone],
  ...SPECIAL.map((room) => [`an event to the room ${room.slice(0, 21)}`, 'n0', 'emit', { to: [room] }, ['n12', 'f12']]),
];

/** Requests: the name of the test, and the check. */
const REQUESTS = [
  ['all clients acknowledge an event', async ({ all, n0 }) => {
    const answer = await n0.op('emitWithAck', { event: 'q', args: [1], timeout: PATIENT });
    assert.deepEqual(sorted(answer), { responses: ids(all, everyone), error: null });
  }],
  ['the clients in a room acknowledge an event', async ({ all, n0 }) => {
    const answer = await n0.op('emitWithAck', { event: 'q', to: ['r1'], except: ['r2'], timeout: PATIENT });
    assert.deepEqual(sorted(answer), { responses: ids(all, ['n1', 'f1']), error: null });
  }],
  ['one client of the other node acknowledges an event', async ({ n0, f1 }) => {
    const answer = await n0.op('emitWithAck', { event: 'q', to: [f1.id], timeout: PATIENT });
    assert.deepEqual(answer, { responses: [f1.id], error: null });
  }],
  ['an event without recipients gets no acks', async ({ n0 }) => {
    const answer = await n0.op('emitWithAck', { event: 'q', to: ['nobody'], timeout: PATIENT });
    assert.deepEqual(answer, { responses: [], error: null });
  }],
  ['binary arguments and binary acks', async ({ n0, f1 }) => {
    f1.answer = { bytes: Buffer.from([1, 2, 3]) };
    const answer = await n0.op('emitWithAck', { event: 'q', to: [f1.id], args: binary, timeout: PATIENT });
    delete f1.answer;
    assert.deepEqual(answer, { responses: [{ bytes: Buffer.from([1, 2, 3]) }], error: null });
    assert.deepEqual(f1.heard.find(([name]) => name === 'q'), ['q', ...binary]);
  }],
  ...[['null', null], ['nothing', NOTHING]].map(([what, answer]) => [`clients that acknowledge with ${what}`, async ({ n0, n1, f1 }) => {
    n1.answer = f1.answer = answer;
    const both = await n0.op('emitWithAck', { event: 'q', to: [n1.id, f1.id], timeout: PATIENT });
    delete n1.answer;
    delete f1.answer;
    assert.deepEqual(both, { responses: [null, null], error: null });
  }]),
  ['a request for acks names the clients that never acknowledge', async ({ n0, f0, f1 }) => {
    const [listener] = f0.listenersAny();
    f0.offAny(listener);
    let answer;
    // On a busy machine even the ack that comes may need longer.
    for (const timeout of [300, 3000]) {
      answer = await n0.op('emitWithAck', { event: 'q', to: [f0.id, f1.id], timeout });
      if (answer.responses.length > 0) break;
    }
    f0.onAny(listener);
    assert.deepEqual(answer.responses, [f1.id]);
    assert.equal(typeof answer.error, 'string');
  }],
  ['fetchSockets returns all sockets with rooms, data and auth', async ({ all, n0 }) => {
    const found = await n0.op('fetchSockets');
    assert.deepEqual(found, described(all, everyone));
  }],
  ['fetchSockets returns the sockets of a room', async ({ all, n0 }) => {
    assert.deepEqual(await n0.op('fetchSockets', { to: ['r1'], except: ['r2'] }), described(all, ['n1', 'f1']));
  }],
  ['fetchSockets returns the sockets of this node', async ({ all, n0 }) => {
    assert.deepEqual(await n0.op('fetchSockets', { local: true }), described(all, ['n0', 'n1', 'n12']));
  }],
  ['serverCount returns the number of nodes', async ({ n0 }) => assert.equal(await n0.op('serverCount'), 2)],
  ['socketsJoin and socketsLeave act on sockets of the other node', async ({ all, n0, f0 }) => {
    // Node's PostgreSQL adapter publishes over several connections, so that an event may overtake a join.
    const isIn = (room, wanted) => eventually(async () => {
      const there = await f0.op('fetchSockets', { to: [room], local: true });
      return there.some(({ id }) => id === f0.id) === wanted;
    }, `the socket is ${wanted ? '' : 'not '}in ${room}`);
    await n0.op('socketsJoin', { to: [f0.id], rooms: ['new', 'newer'] });
    await isIn('newer', true);
    for (const room of ['new', 'newer']) await reachable(n0, room, [f0]);
    await n0.op('emit', { to: ['new'], event: 'joined' });
    await assertHeard(all, n0, ['f0'], ['joined']);
    await n0.op('socketsLeave', { to: ['newer'], rooms: ['new'] });
    await isIn('new', false);
    await n0.op('emit', { to: ['new'], event: 'left' });
    await n0.op('emit', { to: ['newer'], event: 'still' });
    await assertHeard(all, n0, ['f0'], ['still']);
    await n0.op('socketsLeave', { rooms: ['newer'] });
  }],
  ['socketsJoin and socketsLeave act on all sockets', async ({ all, n0, f0 }) => {
    const are = (count) => eventually(async () => {
      const there = await Promise.all([n0, f0].map((member) => member.op('fetchSockets', { to: ['every'], local: true })));
      return there.flat().length === count;
    }, `${count} sockets are in the room`);
    await n0.op('socketsJoin', { rooms: ['every'] });
    await are(everyone.length);
    await reachable(n0, 'every', everyone.map((name) => all[name]));
    await n0.op('emit', { to: ['every'], event: 'every' });
    await assertHeard(all, n0, everyone, ['every']);
    await n0.op('socketsLeave', { rooms: ['every'] });
    await are(0);
    await n0.op('emit', { to: ['every'], event: 'every' });
    await assertHeard(all, n0, [], undefined);
  }],
  ['a server-side event reaches the other server', async ({ n0, f0 }) => {
    const tag = `event-${n0.id}`;
    await n0.op('serverSideEmit', { args: [tag, 1, { a: [null, 'ü'] }] });
    const log = async (socket) => (await socket.op('serverSideLog')).filter(([name]) => name === tag);
    await eventually(async () => (await log(f0)).length > 0, 'the other server has the event');
    assert.deepEqual(await log(f0), [[tag, 1, { a: [null, 'ü'] }]]);
    assert.deepEqual(await log(n0), []);
  }],
  ['a volatile event reaches all clients unless it is lost', async ({ all, n0 }) => {
    await eventually(async () => {
      await n0.op('emit', { event: 'volatile', flags: { volatile: true } });
      const heard = await settled(Object.values(all), n0);
      return heard.every((list) => list.length === 1 && list[0][0] === 'volatile');
    }, 'all clients hear the event');
  }],
  ['a large server-side event reaches the other server', async ({ n0, f0, adapter }) => {
    const tag = `large-${n0.id}`;
    // The requests of the classic adapter are JSON, without binary, and Node's adapter for MongoDB does not
    // convert the values of BSON here.
    const wanted = [[tag, ...large, ...(['redis', 'mongodb'].includes(adapter) ? [] : binary)]];
    await n0.op('serverSideEmit', { args: wanted[0] });
    const log = async () => (await f0.op('serverSideLog')).filter(([name]) => name === tag);
    await eventually(async () => (await log()).length > 0, 'the other server has the event');
    // A diff of the values would fill the screen.
    assert.ok(isDeepStrictEqual(await log(), wanted), 'the received event differs');
  }],
  ...['null', 'nothing'].map((event) => [`servers that answer ${event}`, async ({ n0 }) => {
    const answer = await n0.op('serverSideEmitWithAck', { args: [event] });
    assert.deepEqual(answer, { responses: [null], error: null });
  }]),
  ['servers acknowledge a server-side event', async ({ n0, f0 }) => {
    const answer = await n0.op('serverSideEmitWithAck', { args: ['who', 1] });
    assert.deepEqual(answer, { responses: [await f0.op('whoami')], error: null });
  }],
];

/** Operations that end a client, each with a client of its own. */
const ENDS = [
  ['a client of the other node is disconnected', false],
  ['the connection of a client of the other node is closed', true],
];

/** Runs all tests with a mix of nodes. `bus` returns a shared engine. Without it the mix starts an engine of its own. */
export function exchange(mix, bus) {
  describe(title(mix), { concurrency: 1 }, () => {
    const world = {};
    before(async () => {
      world.engine = bus?.() ?? (await engine(engineOf(mix.adapter)));
      const env = { PREFIX: prefix(), CLIENT: mix.client ?? '' };
      world.nodes = await Promise.all(
        mix.kinds.map((kind, i) => node(kind, mix.adapter, world.engine, { ...env, NAME: `${kind} ${i}` })),
      );
      world.clients = await Promise.all(world.nodes.map(clients));
      world.chat = await Promise.all(world.nodes.map((server) => member(server, { namespace: '/chat' })));
      await together(...world.clients.flat());
      await together(...world.chat);
    });
    after(async () => {
      // Only the clients of this mix. Other mixes may still be running.
      [...(world.clients ?? []).flat(), ...(world.chat ?? [])].forEach((socket) => socket.disconnect());
      const codes = await Promise.all((world.nodes ?? []).map((server) => server.stop()));
      if (!bus) await world.engine?.stop();
      codes.forEach((how) => assert.deepEqual(how, { code: 0, signal: null }));
    });

    for (const [near, far] of [[0, 1], [1, 0]]) {
      const direction = `${mix.kinds[near]} ${near} → ${mix.kinds[far]} ${far}`;
      const check = (name, run) => test(`${direction}: ${name}`, { skip: impossible(mix, `${direction}: ${name}`) }, run);
      const cast = () => named(world.clients[near], world.clients[far]);

      for (const [name, sender, op, fields, hears] of REACH) {
        check(name, async () => {
          const all = cast();
          const { args = ['hello'], ...rest } = typeof fields === 'function' ? fields(all) : fields;
          assert.equal(await all[sender].op(op, { event: 'said', args, ...rest }), 'ok');
          await assertHeard(all, all.n0, hears, ['said', ...args]);
          assert.deepEqual(world.chat.flatMap(({ heard }) => heard), []);
        });
      }
      for (const [name, ask] of REQUESTS) {
        check(name, async () => {
          const all = cast();
          await ask({ all, ...all, adapter: mix.adapter });
          await settled(Object.values(all), all.n0);
        });
      }
      for (const [name, close] of ENDS) {
        check(name, async () => {
          const all = cast();
          const doomed = await member(world.nodes[far], { reconnection: false });
          const gone = event(doomed, 'disconnect');
          const rooms = [doomed.id];
          await eventually(async () => {
            await all.n0.op('disconnectSockets', { to: rooms, close });
            return doomed.disconnected;
          }, 'the client is disconnected');
          assert.equal((await gone)[0], 'io server disconnect');
          assert.ok(Object.values(all).every(({ connected }) => connected));
          await settled(Object.values(all), all.n0);
        });
      }
      check('events and requests stay in their namespace', async () => {
        const [n, f] = [world.chat[near], world.chat[far]];
        await n.op('emit', { event: 'said', args: ['chat'] });
        await assertHeard({ n, f }, n, ['n', 'f'], ['said', 'chat']);
        assert.deepEqual((await n.op('fetchSockets')).map(({ id }) => id), [n.id, f.id].sort());
        assert.equal(await n.op('serverCount'), 2);
        assert.deepEqual(await settled(Object.values(cast()), cast().n0), everyone.map(() => []));
      });
      // Node's adapters for PostgreSQL and MongoDB do not keep the order, because their pools have
      // several connections. Neither do its clients of a Redis Cluster, which publish through any node.
      if (mix.kinds[near].startsWith('node') && (/^(postgres|mongodb)/.test(mix.adapter) || (mix.client && mix.adapter === 'redis'))) continue;
      check('events arrive in order', async () => {
        const { n0, f0 } = cast();
        const numbers = Array.from({ length: 200 }, (_, i) => i);
        await Promise.all(numbers.map((i) => n0.op('emit', { to: [[], ['r1'], [f0.id]][i % 3], event: 'n', args: [i] })));
        await settled(Object.values(cast()), n0).then((heard) => {
          const all = Object.keys(cast());
          assert.deepEqual(heard[all.indexOf('f0')].map(([, i]) => i), numbers.filter((i) => i % 3 !== 1));
        });
      });
    }
  });
}

/** The three clients of a node. */
async function clients(server) {
  const rooms = [[], ['r1'], ['r1', 'r2', ...SPECIAL]];
  return Promise.all(
    rooms.map(async (join) => {
      const data = { of: server.name, bytes: [1, 2.5, 'ü'] };
      const socket = await member(server, { auth: { join, data, token: 't' } });
      return Object.assign(socket, { rooms: join, data });
    }),
  );
}

function named([n0, n1, n12], [f0, f1, f12]) {
  return { n0, n1, n12, f0, f1, f12 };
}

function ids(all, names) {
  return names.map((name) => all[name].id).sort();
}

function sorted({ responses, error }) {
  return { responses: [...responses].sort(), error };
}

function described(all, names) {
  const list = names.map((name) => all[name]).map(({ id, rooms, data }) => {
    return { id, rooms: [id, ...rooms].sort(), data, auth: { join: rooms, data, token: 't' } };
  });
  return list.sort((one, other) => (one.id < other.id ? -1 : 1));
}
