// The public JavaScript clients of each version: Socket.IO's, and the Engine.IO clients without Socket.IO. Each pair of a version, a way to
// connect and an encoding has a case.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Socket as LatestEngine } from 'engine.io-client';
import engineOfV3 from 'engine.io-client-v3';
import { io as ioOfV4 } from 'socket.io-client';
import ioOfV2 from 'socket.io-client-v2';
import { io as ioOfV3 } from 'socket.io-client-v3';

import { client, closeAll, connected, event, join, upgraded } from '../lib/client.mjs';
import { pairwise } from '../lib/pairwise.mjs';
import { Endpoint, within } from '../lib/raw.mjs';
import { CALM, freePort, program, QUICK, start } from '../lib/server.mjs';

const PROGRAM = program('CONFORMANCE_SERVER');
const PATIENT = { ...CALM, ALLOW_EIO3: '1' };
let server;
before(async () => {
  server = await start(PROGRAM, PATIENT);
});
after(() => server?.stop());
afterEach(closeAll);

const VERSIONS = {
  'socket.io-client 2.5.0': { io: ioOfV2, revision: 3 },
  'socket.io-client 3.1.3': { io: ioOfV3, revision: 4 },
  'socket.io-client 4.8.4': { io: ioOfV4, revision: 4 },
};

const ENGINES = {
  'engine.io-client 3.5.4': (url, options) => engineOfV3(url, options),
  'engine.io-client 6.6.8': (url, options) => new LatestEngine(url, options),
};

const TRANSPORTS = {
  'polling with upgrade': { transports: ['polling', 'websocket'], final: 'websocket' },
  WebSocket: { transports: ['websocket'], final: 'websocket' },
  polling: { transports: ['polling'], final: 'polling' },
};

const ENCODINGS = { 'binary frames': {}, base64: { forceBase64: true } };

/** The cases of these versions. `final` is the transport on which a connection ends up. */
function cases(versions) {
  const factors = { version: Object.keys(versions), transport: Object.keys(TRANSPORTS), encoding: Object.keys(ENCODINGS) };
  return pairwise(factors).map(({ version, transport, encoding }) => {
    const { final, transports } = TRANSPORTS[transport];
    const title = `${version}, ${transport}, ${encoding}`;
    return { title, version: versions[version], final, options: { transports, ...ENCODINGS[encoding] } };
  });
}

const SOCKETS = cases(VERSIONS).map(({ title, version: { io, revision }, final, options }) => {
  return { title, revision, final, options: { io, ...options } };
});

const UNICODE = 'é€😀\u2028';

/** Connects to the conformance server and waits for the upgrade, if there is one. */
async function settled(options, final) {
  const socket = await connected(server, options);
  if (final === 'websocket') await upgraded(socket);
  return socket;
}

for (const { title, options, final, revision } of SOCKETS) describe(title, () => {
  test('the client connects, and ends up on the expected transport', async () => {
    const socket = await settled(options, final);
    assert.equal(socket.io.engine.transport.name, final);
    // The server sends no id to a v2 client, which uses the id of the session.
    if (revision === 3) assert.equal(socket.id, socket.io.engine.id);
    else assert.notEqual(socket.id, socket.io.engine.id);
  });

  test('the event `auth` comes first; a v2 client has no credentials in the main namespace', async () => {
    const auth = { token: UNICODE, deep: [1, { two: true }] };
    const socket = client(server, { ...options, auth });
    assert.deepEqual(await event(socket, 'auth'), [revision === 3 ? {} : auth]);
  });

  test('arguments of every type come back', async () => {
    const socket = await settled(options, final);
    const sent = [1, -0.5, UNICODE, '', null, true, [], { three: [{ [UNICODE]: '€' }] }];
    socket.emit('message', ...sent);
    assert.deepEqual(await event(socket, 'message-back'), sent);
  });

  test('binary data comes back at any depth of an argument', async () => {
    const socket = await settled(options, final);
    const sent = [Buffer.from([0, 255, 30]), UNICODE, { deep: [Buffer.from('4hello'), { er: Buffer.alloc(0) }] }];
    socket.emit('message', ...sent);
    assert.deepEqual(await event(socket, 'message-back'), sent);
  });

  test('the client gets acks', async () => {
    const socket = await settled(options, final);
    const sent = [1, UNICODE, { 3: [false] }, Buffer.from([1, 2])];
    const ack = new Promise((resolve) => {
      socket.emit('message-with-ack', ...sent, (...args) => resolve(args));
    });
    assert.deepEqual(await within(ack, 'the ack'), sent);
  });

  test('the server gets acks', async () => {
    const socket = await settled(options, final);
    socket.emit('emit-with-ack', 'question', Buffer.from([7]));
    const [question, bytes, ack] = await event(socket, 'emit-with-ack');
    assert.deepEqual([question, bytes], ['question', Buffer.from([7])]);
    ack(UNICODE, { bytes: Buffer.from([8]) });
    assert.deepEqual(await event(socket, 'emit-with-ack'), [UNICODE, { bytes: Buffer.from([8]) }]);
  });

  test('a thousand messages keep their order if the first is sent at once', async () => {
    const socket = client(server, options);
    const count = 1000;
    const seen = [];
    const done = new Promise((resolve) => {
      socket.on('message-back', (number) => seen.push(number) === count && resolve());
    });
    let next = 0;
    // Batches with one turn of the event loop between them, so that an upgrade happens between two batches.
    const batch = () => {
      for (let n = 0; n < 10 && next < count; n++) socket.emit('message', next++, next % 7 ? '€' : Buffer.from([1]));
      if (next < count) setImmediate(batch);
    };
    socket.once('connect', batch);
    await within(done, 'a thousand messages');
    assert.deepEqual(seen, Array.from({ length: count }, (_, number) => number));
    assert.equal(socket.io.engine.transport.name, final);
  });

  test('a message of several hundred kilobytes comes back', async () => {
    const socket = await settled(options, final);
    const sent = [Buffer.alloc(300_000, 'bytes'), UNICODE.repeat(20_000)];
    socket.emit('message', ...sent);
    assert.deepEqual(await event(socket, 'message-back'), sent);
  });

  test('namespaces share the connection; each has its own id and credentials', async () => {
    const socket = await settled(options, final);
    const query = { token: 'a b&c', [UNICODE]: UNICODE };
    const custom = join(socket, '/custom', revision === 3 ? { query } : { auth: query });
    assert.deepEqual(await event(custom, 'auth'), [query]);
    assert.ok(custom.connected);
    if (revision === 3) assert.equal(custom.id, `/custom#${socket.io.engine.id}`);
    else assert.notEqual(custom.id, socket.id);
    const plain = client(server, { ...options, namespace: '/custom' });
    assert.deepEqual(await event(plain, 'auth'), [{}]);
  });

  test('the refusal of an unknown namespace leaves the other namespaces connected', async () => {
    const socket = await settled(options, final);
    const random = join(socket, '/random');
    const [error] = await event(random, revision === 3 ? 'error' : 'connect_error');
    if (revision === 3) assert.deepEqual(error, { message: 'Invalid namespace' });
    else assert.ok(error instanceof Error && error.message === 'Invalid namespace');
    assert.ok(!random.connected);
    socket.emit('message', 'still here');
    assert.deepEqual(await event(socket, 'message-back'), ['still here']);
  });

  test('a client that leaves a namespace keeps the connection and can join again', async () => {
    const socket = await settled(options, final);
    const custom = join(socket, '/custom');
    await event(custom, 'auth');
    const left = event(custom, 'disconnect');
    custom.disconnect();
    assert.equal((await left)[0], 'io client disconnect');
    socket.emit('message', 'still here');
    assert.deepEqual(await event(socket, 'message-back'), ['still here']);
    const again = event(custom, 'auth');
    custom.connect();
    await again;
  });

  test('a client that disconnects can connect again', async () => {
    const socket = await settled(options, final);
    const before = socket.id;
    const left = event(socket, 'disconnect');
    socket.disconnect();
    assert.equal((await left)[0], 'io client disconnect');
    const back = event(socket, 'connect');
    socket.connect();
    await back;
    assert.notEqual(socket.id, before);
  });

  test('a client reconnects to the successor of its server', async () => {
    const env = { ...PATIENT, PORT: String(await freePort()) };
    const first = await start(PROGRAM, env);
    const socket = client(first, options);
    await event(socket, 'auth');
    const lost = event(socket, 'disconnect');
    await first.stop();
    await lost;
    const second = await start(PROGRAM, env);
    await event(socket, 'auth');
    assert.ok(socket.connected);
    socket.disconnect();
    await second.stop();
  });

  test('each of many clients gets its own messages', async () => {
    const echo = async (_, number) => {
      const socket = await connected(server, options);
      return within(new Promise((resolve) => socket.emit('message-with-ack', number, resolve)), 'the ack');
    };
    const acks = await Promise.all(Array.from({ length: 40 }, echo));
    assert.deepEqual(acks, Array.from({ length: 40 }, (_, number) => number));
  });
});

test('heartbeats keep connections beyond their timeout', async () => {
  const strict = await start(PROGRAM, { ...QUICK, ALLOW_EIO3: '1' });
  const outlive = async ({ title, options, final }) => {
    const socket = await connected(strict, options);
    const disconnected = [];
    socket.on('disconnect', (reason) => disconnected.push(reason));
    // One pong per ping interval of 300 ms. Without heartbeats the connection would end after 3300 ms.
    for (let round = 0; round < 12; round++) await event(socket.io.engine, 'pong');
    socket.emit('message', 'still here');
    assert.deepEqual(await event(socket, 'message-back'), ['still here'], title);
    assert.deepEqual(disconnected, [], title);
    assert.equal(socket.io.engine.transport.name, final, title);
  };
  await Promise.all(SOCKETS.map(outlive));
  closeAll();
  await strict.stop();
});

describe('a server without revision 3', () => {
  let modern;
  before(async () => {
    modern = await start(PROGRAM, CALM);
  });
  after(() => modern?.stop());

  for (const path of ['/engine.io/', '/socket.io/']) {
    test(`refuses its clients with code 5: ${path}`, async () => {
      const { status, body } = await new Endpoint(modern, path).request('?EIO=3&transport=polling');
      assert.deepEqual([status, JSON.parse(body).code], [400, 5]);
    });
  }

  for (const transport of ['polling', 'websocket']) {
    test(`refuses socket.io-client 2.5.0 over ${transport}`, async () => {
      const socket = client(modern, { io: ioOfV2, transports: [transport], reconnection: false });
      await event(socket, 'connect_error');
      assert.ok(!socket.connected);
    });
  }

  test('accepts clients of revision 4', async () => {
    await connected(modern, { io: ioOfV3 });
  });
});

describe('Engine.IO clients', () => {
  for (const { title, version: dial, options, final } of cases(ENGINES)) {
    describe(title, () => {
      let engine;
      const open = async (to) => {
        engine = dial(to.url, options);
        await event(engine, 'open');
        if (engine.transport.name !== final) await event(engine, 'upgrade');
        return engine;
      };
      afterEach(() => engine?.close());

      test('text and binary come back in order', async () => {
        await open(server);
        // There is no empty text, because these clients report it as undefined.
        const sent = ['hello', UNICODE, Buffer.from([1, 2, 3, 4]), 'b4AQ==', Buffer.alloc(0), Buffer.alloc(200_000, 7)];
        const seen = [];
        const done = new Promise((resolve) => {
          engine.on('message', (data) => seen.push(data) === sent.length && resolve());
        });
        sent.forEach((data) => engine.send(data));
        await within(done, 'the echo');
        assert.deepEqual(seen.map((data) => (typeof data === 'string' ? data : Buffer.from(data))), sent);
        assert.equal(engine.transport.name, final);
      });

      test('messages keep their order if the first is sent at once', async () => {
        engine = dial(server.url, options);
        const count = 300;
        const seen = [];
        const done = new Promise((resolve) => {
          engine.on('message', (data) => seen.push(Number(data)) === count && resolve());
        });
        let next = 0;
        const batch = () => {
          for (let n = 0; n < 5 && next < count; n++) engine.send(String(next++));
          if (next < count) setImmediate(batch);
        };
        engine.once('open', batch);
        await within(done, 'the echo');
        assert.deepEqual(seen, Array.from({ length: count }, (_, number) => number));
      });
    });
  }

  test('stay connected by heartbeats, and close on request', async () => {
    const strict = await start(PROGRAM, { ...QUICK, ALLOW_EIO3: '1' });
    const live = async ({ title, version: dial, options }) => {
      const engine = dial(strict.url, options);
      for (let round = 0; round < 5; round++) await event(engine, 'pong');
      assert.equal(engine.readyState, 'open', title);
      const closed = event(engine, 'close');
      engine.close();
      assert.equal((await closed)[0], 'forced close', title);
    };
    await Promise.all(cases(ENGINES).map(live));
    await strict.stop();
  });
});
