// Emitters: processes that send to a cluster but have no clients. Node's emitters and ours, each with our servers and Node's.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { Emitter as MongoEmitter } from '@socket.io/mongo-emitter';
import { Emitter as PostgresEmitter } from '@socket.io/postgres-emitter';
import { Emitter as RedisEmitter } from '@socket.io/redis-emitter';
import { MongoClient } from 'mongodb';
import pg from 'pg';
import { createClient } from 'redis';

import { engine, engineOf, eventually, member, node } from '../lib/cluster.mjs';
import { event, join } from '../lib/client.mjs';
import { addressOf, ourEmitter } from '../lib/emitter.mjs';
import { NODE } from '../lib/mixes.mjs';
import { program } from '../lib/server.mjs';

const run = promisify(execFile);
const binary = [Buffer.from([0, 255]), { deep: Buffer.alloc(9000, 7) }];

/** Node's emitters, each with a function that ends it. Node has no such package for streams. */
const NODES = {
  async redis(adapter, { url }) {
    const client = await createClient({ url }).connect();
    return [new RedisEmitter(client), () => client.close()];
  },
  async postgres(adapter, { url }) {
    const pool = new pg.Pool({ connectionString: url });
    return [new PostgresEmitter(pool), () => pool.end()];
  },
  async mongodb(adapter, { url }) {
    const client = await new MongoClient(url).connect();
    return [new MongoEmitter(client.db('test').collection('events')), () => client.close()];
  },
};

const FORMATS = ['redis', 'redis-sharded', 'redis-streams', 'postgres', 'mongodb', 'nats'];
const EMITTERS = [
  { whose: "Node's emitter", adapter: 'redis', make: NODES.redis, kinds: ['rust', 'node'] },
  // Its messages lack the namespace, and Node's servers of that version drop them.
  { whose: "Node's emitter", adapter: 'postgres', make: NODES.postgres, kinds: ['rust'] },
  { whose: "Node's emitter", adapter: 'mongodb', make: NODES.mongodb, kinds: ['rust', 'node'] },
  ...FORMATS.map((adapter) => {
    return { whose: 'our emitter', adapter, make: ourEmitter, kinds: NODE.includes(adapter) ? ['rust', 'node'] : ['rust', 'rust'] };
  }),
  ...FORMATS.slice(0, 3).map((adapter) => {
    return { whose: 'our emitter', adapter, make: ourEmitter, kinds: ['rust', 'node'], cluster: true };
  }),
];

/**
 * What an emitter says, and which clients of each server hear it: `all` is in no room, `room` in that one, `both` in `room`
 * and `other`, `chat` in another namespace.
 */
const SAYS = [
  ['to everybody', (io) => io.emit('said', 1, 'ü', [null, {}]), ['all', 'room', 'both'], [1, 'ü', [null, {}]]],
  ['to a room', (io) => io.to('room').emit('said', 1), ['room', 'both'], [1]],
  ['to rooms, once', (io) => io.to(['room', 'other']).emit('said'), ['room', 'both'], []],
  ['to rooms, one after the other', (io) => io.to('room').to('other').emit('said'), ['room', 'both'], []],
  ['to a room that nobody is in', (io) => io.to('nobody').emit('said'), [], []],
  ['except a room', (io) => io.except('other').emit('said'), ['all', 'room'], []],
  ['except rooms', (io) => io.except(['room', 'other']).emit('said'), ['all'], []],
  ['to a room except another', (io) => io.to('room').except('other').emit('said'), ['room'], []],
  ['to clients by id', (io, { room }) => io.to(room.map(({ id }) => id)).emit('said'), ['room'], []],
  ['except clients by id', (io, { room }) => io.except(room.map(({ id }) => id)).emit('said'), ['all', 'both'], []],
  ['not compressed', (io) => io.compress(false).emit('said'), ['all', 'room', 'both'], []],
  ['binary and large', (io) => io.emit('said', ...binary), ['all', 'room', 'both'], binary],
  ['binary to a room', (io) => io.to('other').emit('said', ...binary), ['both'], binary],
  ['large text', (io) => io.emit('said', 'ü'.repeat(10_000)), ['all', 'room', 'both'], ['ü'.repeat(10_000)]],
  ['in another namespace', (io) => io.of('/chat').emit('said'), ['chat'], []],
  ['in another namespace, to a room', (io) => io.of('/chat').to('room').emit('said'), ['chat'], []],
];

// The tests mostly wait, so they run in parallel.
describe('emitters', { concurrency: 3 }, () => EMITTERS.forEach(speaks));

function speaks({ whose, adapter, make, kinds, cluster }) {
  describe(`${whose} on ${adapter}, ${kinds.join('+')}${cluster ? ', Redis Cluster' : ''}`, { concurrency: 1 }, () => {
    let bus, servers, emitter, end;
    const clients = {};
    before(async () => {
      bus = await engine(cluster ? 'redis-cluster' : engineOf(adapter));
      servers = await Promise.all(kinds.map((kind, i) => node(kind, adapter, bus, { NAME: `${kind} ${i}` })));
      const each = (options) => Promise.all(servers.map((server) => member(server, options)));
      clients.all = await each();
      clients.room = await each({ auth: { join: ['room'] } });
      clients.both = await each({ auth: { join: ['room', 'other'] } });
      clients.chat = await each({ namespace: '/chat', auth: { join: ['room'] } });
      [emitter, end] = await make(adapter, bus);
      await reached(emitter, 'room', [...clients.room, ...clients.both]);
      await reached(emitter, 'other', clients.both);
      await reached(emitter.of('/chat'), 'room', clients.chat);
      await heard();
    });
    after(async () => {
      everyone().forEach((client) => client.disconnect());
      await end?.();
      await Promise.all((servers ?? []).map((server) => server.stop()));
      await bus?.stop();
    });

    /** Servers with a channel per room subscribe to it shortly after a client has joined. */
    const reached = (io, room, members) =>
      eventually(async () => {
        await io.to(room).emit('fence-room');
        return members.every((client) => client.heard.some(([name]) => name === 'fence-room'));
      }, `${room} is reached`);
    /** The events that the clients have received, as `[name, args]`, after all earlier messages of the emitter have arrived. */
    const heard = async () => {
      const fence = `fence-${Math.random()}`;
      const ways = [
        [emitter, everyone().filter((client) => !clients.chat.includes(client))],
        [emitter.of('/chat'), clients.chat],
        [emitter.to('room'), [...clients.room, ...clients.both]],
        [emitter.to('other'), clients.both],
      ];
      for (const [i, [way, members]] of ways.entries()) {
        await way.emit(`${fence}-${i}`);
        await eventually(() => members.every((client) => client.heard.some(([name]) => name === `${fence}-${i}`)), 'the last word');
      }
      return Object.entries(clients).flatMap(([name, list]) => list.map((client) => [name, said(client)]));
    };
    const everyone = () => Object.values(clients).flat();
    const said = ({ heard }) => heard.splice(0).filter(([word]) => !word.startsWith('fence'));
    const assertHeard = async (hears, words) => {
      // Node's emitter for PostgreSQL uses several connections, so the last message may arrive first.
      await eventually(() => hears.flatMap((who) => clients[who]).every(({ heard }) => heard.some(([word]) => word === words[0])), 'it is heard');
      for (const [who, what] of await heard()) assert.deepEqual(what, hears.includes(who) ? [words] : []);
    };
    const roomsOf = async (client) => {
      const [{ rooms }] = await client.op('fetchSockets', { to: [client.id] });
      return rooms.filter((room) => room !== client.id).join();
    };
    const areIn = (members, rooms) =>
      eventually(async () => (await Promise.all(members.map(roomsOf))).every((has) => has === rooms), `they are in ${rooms}`);

    for (const [name, say, hears, args] of SAYS) {
      test(name, async () => {
        await say(emitter, clients);
        await assertHeard(hears, ['said', ...args]);
      });
    }
    test('a volatile event arrives', async () => {
      await eventually(async () => {
        await emitter.to('room').volatile.emit('said');
        return [...clients.room, ...clients.both].every(({ heard }) => heard.some(([word]) => word === 'said'));
      }, 'it is heard');
      for (const [who, words] of await heard()) assert.equal(words.length > 0, ['room', 'both'].includes(who));
    });
    test('sockets join and leave rooms', async () => {
      await emitter.in('room').except('other').socketsJoin(['new', 'newer']);
      await areIn(clients.room, 'new,newer,room');
      await areIn(clients.both, 'other,room');
      await areIn(clients.all, '');
      await reached(emitter, 'new', clients.room);
      await emitter.in('new').except('other').socketsLeave('newer');
      await areIn(clients.room, 'new,room');
      await emitter.socketsLeave(['new', 'newer']);
      await areIn(clients.room, 'room');
      await heard();
      await emitter.to('new').emit('said');
      await assertHeard([], ['said']);
    });
    test('all sockets join a room, and one leaves it', async () => {
      await emitter.socketsJoin('every');
      await areIn([...clients.all], 'every');
      await areIn([...clients.both], 'every,other,room');
      await emitter.in(clients.room[0].id).socketsLeave('every');
      await areIn([clients.room[0]], 'room');
      await areIn(clients.room.slice(1), 'every,room');
      await emitter.socketsLeave('every');
      await areIn(clients.all, '');
    });
    test('sockets of another namespace join and leave rooms', async () => {
      await emitter.of('/chat').socketsJoin('every');
      await areIn(clients.chat, 'every,room');
      await areIn(clients.all, '');
      await emitter.of('/chat').in('room').socketsLeave('every');
      await areIn(clients.chat, 'room');
    });
    for (const close of [false, true]) {
      test(`disconnecting ${close ? 'whole connections' : 'from a namespace'}`, async () => {
        const doomed = await Promise.all(servers.map((server) => member(server, { auth: { join: ['doomed'] }, reconnection: false })));
        const others = doomed.map((client) => join(client, '/chat', { auth: {} }));
        await Promise.all(others.map((other) => event(other.connect(), 'connect')));
        const gone = doomed.map((client) => event(client, 'disconnect'));
        await emitter.in('doomed').except('room').disconnectSockets(close);
        for (const [reason] of await Promise.all(gone)) assert.equal(reason, 'io server disconnect');
        if (close) await eventually(() => others.every(({ connected }) => !connected), 'the connection is gone');
        else for (const other of others) await other.emitWithAck('op', { op: 'whoami' });
        assert.ok(everyone().every(({ connected }) => connected));
        others.forEach((other) => other.disconnect());
      });
    }
    test('a server-side event reaches all servers', async () => {
      const log = async (client) => (await client.op('serverSideLog')).filter(([name]) => name === 'event');
      // The requests of the classic adapter are JSON, and Node's adapter for MongoDB does not convert the
      // binary values of BSON here.
      const args = [1, 'ü', { list: [null] }, ...(['redis', 'mongodb'].includes(adapter) ? [] : binary)];
      await emitter.serverSideEmit('event', ...args);
      await emitter.of('/chat').serverSideEmit('event', 'chat');
      for (const [members, wanted] of [[clients.all, ['event', ...args]], [clients.chat, ['event', 'chat']]]) {
        for (const client of members) {
          await eventually(async () => (await log(client)).length > 0, 'the server is told');
          assert.deepEqual(await log(client), [wanted]);
        }
      }
      for (const [, words] of await heard()) assert.deepEqual(words, []);
    });
    // Node's emitters for PostgreSQL and MongoDB use several connections, and a Redis Cluster keeps the
    // channels of rooms on several nodes.
    if (![NODES.postgres, NODES.mongodb].includes(make) && !(cluster && adapter === 'redis-sharded')) test('events arrive in order', async () => {
      const numbers = Array.from({ length: 100 }, (_, i) => i);
      for (const i of numbers) void emitter.to([[], 'room', ['room', 'other']][i % 3]).emit('n', i);
      for (const [who, words] of await heard()) {
        const hears = { all: (i) => i % 3 === 0, room: () => true, both: () => true, chat: () => false };
        assert.deepEqual(words.map(([, i]) => i), numbers.filter(hears[who]));
      }
    });
    if (whose === 'our emitter') test('the command line tool emits an event', async () => {
      await run(program('EMIT'), [addressOf(adapter, bus), '/', 'said', '{"a":[1,"ü",null]}', 'room', 'other']);
      await assertHeard(['room', 'both'], ['said', { a: [1, 'ü', null] }]);
    });
  });
}
