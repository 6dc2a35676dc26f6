// Emitters: processes without clients that speak to a cluster. Node's reach our sockets, ours reach Node's.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { Emitter as PostgresEmitter } from '@socket.io/postgres-emitter';
import { Emitter as RedisEmitter } from '@socket.io/redis-emitter';
import pg from 'pg';
import { createClient } from 'redis';

import { engine, engineOf, eventually, member, node, settled, together } from '../lib/cluster.mjs';
import { closeAll, event } from '../lib/client.mjs';
import { NODE } from '../lib/mixes.mjs';
import { program } from '../lib/server.mjs';

const run = promisify(execFile);
const binary = [Buffer.from([0, 255]), { deep: Buffer.alloc(9000, 7) }];

/** Makes one of Node's emitters; gives it and how to end it. */
const EMITTERS = {
  async redis(url) {
    const client = await createClient({ url }).connect();
    return [new RedisEmitter(client), () => client.close()];
  },
  async postgres(url) {
    const pool = new pg.Pool({ connectionString: url });
    return [new PostgresEmitter(pool), () => pool.end()];
  },
};

/** What Node's emitter does, and which of the clients `all`, `room` and `both` (in `room` and `other`) hear it. */
const SAYS = [
  ['to everybody', (io) => io.emit('said', 1, 'ü', [null, {}]), ['all', 'room', 'both'], [1, 'ü', [null, {}]]],
  ['to a room', (io) => io.to('room').emit('said', 1), ['room', 'both'], [1]],
  ['to rooms, once', (io) => io.to(['room', 'other']).emit('said'), ['room', 'both'], []],
  ['except a room', (io) => io.except('other').emit('said'), ['all', 'room'], []],
  ['to a room except another', (io) => io.to('room').except('other').emit('said'), ['room'], []],
  ['not compressed', (io) => io.compress(false).emit('said'), ['all', 'room', 'both'], []],
  ['binary and large', (io) => io.emit('said', ...binary), ['all', 'room', 'both'], binary],
  ['in another namespace', (io) => io.of('/chat').emit('said'), ['chat'], []],
];

for (const adapter of ['redis', 'postgres']) {
  describe(`Node's emitter on ${adapter}`, () => {
    const clients = {};
    let bus, server, emitter, end;
    before(async () => {
      bus = await engine(engineOf(adapter));
      server = await node('rust', adapter, bus);
      clients.all = await member(server);
      clients.room = await member(server, { auth: { join: ['room'] } });
      clients.both = await member(server, { auth: { join: ['room', 'other'] } });
      clients.chat = await member(server, { namespace: '/chat' });
      [emitter, end] = await EMITTERS[adapter](bus.url);
    });
    after(async () => {
      closeAll();
      await end?.();
      await server?.stop();
      await bus?.stop();
    });
    const heard = async () => {
      // What the emitter said before this has arrived as well: it has one way only.
      const fence = `fence-${Math.random()}`;
      emitter.emit(fence);
      emitter.of('/chat').emit(fence);
      const all = Object.values(clients);
      await eventually(() => all.every((client) => client.heard.some(([name]) => name === fence)), 'the last word');
      return Object.keys(clients).map((name) => [name, clients[name].heard.splice(0).filter(([word]) => !word.startsWith('fence'))]);
    };

    for (const [name, say, hears, args] of SAYS) {
      test(name, async () => {
        await say(emitter);
        // Some of them use several connections, and then the last word may come first.
        await eventually(() => hears.every((who) => clients[who].heard.some(([word]) => word === 'said')), 'it is heard');
        for (const [who, words] of await heard()) assert.deepEqual(words, hears.includes(who) ? [['said', ...args]] : []);
      });
    }
    test('a volatile one', async () => {
      await eventually(() => {
        emitter.volatile.emit('said');
        return clients.all.heard.some(([word]) => word === 'said');
      }, 'it is heard');
    });
    test('joining, leaving, disconnecting', async () => {
      const rooms = async () => (await clients.all.op('fetchSockets', { to: [clients.room.id] }))[0]?.rooms.filter((room) => room !== clients.room.id);
      emitter.in('room').except('other').socketsJoin(['new', 'newer']);
      await eventually(async () => String(await rooms()) === 'new,newer,room', 'it has joined');
      emitter.in('new').socketsLeave('newer');
      await eventually(async () => String(await rooms()) === 'new,room', 'it has left');
      const gone = event(clients.room, 'disconnect');
      emitter.in('new').disconnectSockets(true);
      assert.equal((await gone)[0], 'io server disconnect');
      assert.ok(clients.all.connected && clients.both.connected);
    });
    test('an event for servers', async () => {
      emitter.serverSideEmit('event', 1, 'ü');
      const log = async () => (await clients.all.op('serverSideLog')).filter(([name]) => name === 'event');
      await eventually(async () => (await log()).length > 0, 'the server is told');
      assert.deepEqual(await log(), [['event', 1, 'ü']]);
    });
  });
}

/** The address that names the adapter to our emitter. */
const SCHEMES = { 'redis-sharded': 'redis+sharded', 'redis-streams': 'redis+streams' };

for (const adapter of ['redis', 'redis-sharded', 'redis-streams', 'postgres', 'nats']) {
  describe(`our emitter on ${adapter}`, () => {
    let bus, servers, clients, chat;
    before(async () => {
      bus = await engine(engineOf(adapter));
      const kinds = NODE.includes(adapter) ? ['rust', 'node'] : ['rust'];
      servers = await Promise.all(kinds.map((kind) => node(kind, adapter, bus)));
      clients = await Promise.all(servers.flatMap((server) => [[], ['room']].map((join) => member(server, { auth: { join } }))));
      chat = await Promise.all(servers.map((server) => member(server, { namespace: '/chat' })));
      await together(...clients);
      await together(...chat);
    });
    after(async () => {
      closeAll();
      await Promise.all((servers ?? []).map((server) => server.stop()));
      await bus?.stop();
    });
    const url = () => bus.url.replace(/^redis:/, `${SCHEMES[adapter] ?? 'redis'}:`);

    for (const [name, nsp, rooms, hears] of [
      ['to everybody', '/', [], () => clients],
      ['to a room', '/', ['room'], () => clients.filter((_, i) => i % 2 === 1)],
      ['to rooms, once', '/', ['room', 'other'], () => clients.filter((_, i) => i % 2 === 1)],
      ['in another namespace', '/chat', [], () => chat],
    ]) {
      test(name, async () => {
        await run(program('EMIT'), [url(), nsp, 'said', '{"a":[1,"ü",null]}', ...rooms]);
        await eventually(() => hears().every(({ heard }) => heard.length > 0), 'it is heard');
        await settled(clients, clients[0]).then((heard) => {
          for (const [i, words] of heard.entries()) {
            assert.deepEqual(words, hears().includes(clients[i]) ? [['said', { a: [1, 'ü', null] }]] : []);
          }
        });
        chat.forEach((client) => assert.equal(client.heard.splice(0).length, hears().includes(client) ? 1 : 0));
      });
    }
  });
}
