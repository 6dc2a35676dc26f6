// Tests the peers of the Rust client with Node's clients. A failure here is a fault of the peer, not of the Rust client.

import assert from 'node:assert/strict';
import { after, afterEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import v2 from 'socket.io-client-v2';
import { io as v3 } from 'socket.io-client-v3';
import { io as v4 } from 'socket.io-client';
import msgpack from 'socket.io-msgpack-parser';

import { client, closeAll, connected, event, join } from '../lib/client.mjs';
import { program, start } from '../lib/server.mjs';

const script = fileURLToPath(new URL('../servers/peer.mjs', import.meta.url));
const node = (env = {}) => start(process.execPath, env, [script]);
const rust = (env = {}) => start(program('PEER_SERVER'), env);
const cases = [
  { version: '4', io: v4 },
  { version: '4', io: v4, parser: msgpack },
  { version: '3', io: v3 },
  { version: '2', io: v2 },
];

afterEach(closeAll);

for (const { version, io, parser } of cases) {
  const title = `version ${version}${parser ? ', msgpack' : ''}`;
  for (const [name, peer] of Object.entries({ node, rust })) describe(`${name}, ${title}`, async () => {
    const server = await peer({ VERSION: version, PARSER: parser ? 'msgpack' : 'json' });
    after(() => server.stop());
    const options = { io, ...(parser && { parser }) };
    const ask = (socket, ...args) => new Promise((resolve) => socket.emit(...args, resolve));

    test('echoes events, sends acks and requests acks', async () => {
      const socket = await connected(server, options);
      const bytes = Buffer.from([1, 2, 3]);
      socket.emit('echo', { deep: [bytes] }, 'text');
      const [value, text] = await event(socket, 'echo');
      assert.deepEqual([Buffer.from(value.deep[0]), text], [bytes, 'text']);
      assert.equal(await ask(socket, 'ack', 7), 7);
      socket.on('question', (n, answer) => answer(n + 1));
      socket.emit('ask', 1);
      assert.deepEqual(await event(socket, 'answered'), [2]);
    });

    test('passes on null, half a surrogate pair and numbers out of range', async () => {
      const socket = await connected(server, options);
      // `undefined` and infinity are null in JSON, and may be in msgpack.
      const written = (value) => JSON.parse(JSON.stringify(value ?? null));
      const values = [null, undefined, [undefined], { a: null }, Infinity, -Infinity, NaN, -0];
      // Node's msgpack encoder drops the character after half a surrogate pair, and makes 0 of 2^80.
      if (!parser) values.push(2 ** 80, 'cut \ud83d', ['\ude00'], { '\ud83d': '\ud83d\ud83d\ude00' });
      for (const value of values) {
        assert.deepEqual(written(await ask(socket, 'ack', value)), written(value));
        socket.emit('echo', value, 'text');
        assert.deepEqual(written(await event(socket, 'echo')), [written(value), 'text']);
      }
      if (!parser) {
        socket.io.engine.write('2["echo",1e400,"\\ud83d"]');
        // Node reads infinity and writes null; ours passes the text on.
        assert.deepEqual(written(await event(socket, 'echo')), [null, '\ud83d']);
        socket.emit('cut \ud83d', 1); // an event without a listener
      }
      assert.equal(await ask(socket, 'ack', 7), 7);
    });

    test('guards a namespace and ends connections in every way', async () => {
      const socket = await connected(server, options);
      const locked = join(socket, '/locked');
      const [refusal] = await event(locked, version === '2' ? 'error' : 'connect_error');
      assert.deepEqual(version === '2' ? refusal.code : refusal.data.code, 'E_AUTH');
      const ends = { kick: 'io server disconnect', close: 'io server disconnect', lose: 'transport close' };
      for (const [op, reason] of Object.entries(ends)) {
        const other = await connected(server, options);
        other.emit(op);
        assert.equal((await event(other, 'disconnect'))[0], reason);
        other.disconnect();
      }
    });

    test('broadcasts to rooms, counts attempts and records events', async () => {
      const socket = await connected(server, options);
      await ask(socket, 'join', 'room');
      socket.emit('cast', 'room', 1);
      assert.deepEqual(await event(socket, 'cast'), [1]);
      socket.emit('record', 'a');
      assert.deepEqual(await ask(socket, 'recorded'), ['a']);
      const key = String(Math.random());
      socket.emit('flaky', key, 2, () => {});
      assert.equal(await ask(socket, 'flaky', key, 2), 2);
      assert.equal((await ask(socket, 'large', 100_000)).length, 100_000);
      assert.equal((await ask(socket, 'info')).id, socket.id);
    });
  });
}

for (const [name, peer] of Object.entries({ node, rust })) {
  test(`${name} refuses every session with REFUSE`, async () => {
    const server = await peer({ REFUSE: '1' });
    const refused = client(server);
    assert.equal((await event(refused, 'connect_error'))[0].message, 'xhr poll error');
    refused.disconnect();
    await server.stop();
  });

  test(`${name} recovers a lost session`, async () => {
    const server = await peer({ RECOVERY: '1' });
    const lost = await connected(server, { reconnectionDelay: 300, reconnectionDelayMax: 300 });
    const other = await connected(server);
    other.emit('tick', 0, 1);
    await event(lost, 'n');
    lost.io.engine.close();
    other.emit('tick', 1, 1);
    assert.equal((await event(lost, 'n'))[0], 1);
    if (!lost.connected) await event(lost, 'connect');
    assert.equal(lost.recovered, true);
    await server.stop();
  });
}

test('node requires its cookie with COOKIE', async () => {
  const server = await node({ COOKIE: '1' });
  const socket = await connected(server, { withCredentials: true, transports: ['polling'] });
  socket.emit('echo', 1);
  assert.deepEqual(await event(socket, 'echo'), [1]);
  await server.stop();
});
