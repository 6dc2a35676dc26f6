// Older versions of the public JavaScript clients over each of their ways to connect, and the bare Engine.IO clients.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Socket as LatestEngine } from 'engine.io-client';
import engineOfV3 from 'engine.io-client-v3';
import ioOfV2 from 'socket.io-client-v2';
import { io as ioOfV3 } from 'socket.io-client-v3';

import { client, closeAll, connected, event, join, upgraded } from '../lib/client.mjs';
import { Endpoint, within } from '../lib/raw.mjs';
import { freePort, program, start } from '../lib/server.mjs';

const PROGRAM = program('CONFORMANCE_SERVER');
const PATIENT = { ALLOW_EIO3: '1', PING_INTERVAL: '25000', PING_TIMEOUT: '20000' };
let server;
before(async () => {
  server = await start(PROGRAM, PATIENT);
});
after(() => server?.stop());
afterEach(closeAll);

const VERSIONS = {
  'socket.io-client 2.5.0': { io: ioOfV2, revision: 3 },
  'socket.io-client 3.1.3': { io: ioOfV3, revision: 4 },
};

const WAYS = {
  'polling, then upgrade': { transports: ['polling', 'websocket'], ends: 'websocket' },
  'WebSocket only': { transports: ['websocket'], ends: 'websocket' },
  'polling only': { transports: ['polling'], ends: 'polling' },
  'WebSocket only, forceBase64': { transports: ['websocket'], forceBase64: true, ends: 'websocket' },
  'polling only, forceBase64': { transports: ['polling'], forceBase64: true, ends: 'polling' },
};

const UNICODE = 'é€😀\u2028';

function inEveryWay(body) {
  for (const [name, { io, revision }] of Object.entries(VERSIONS)) {
    for (const [way, { ends, ...options }] of Object.entries(WAYS)) {
      describe(`${name}, ${way}`, () => body({ options: { io, ...options }, ends, revision }));
    }
  }
}

async function settled(options, ends) {
  const socket = await connected(server, options);
  if (ends === 'websocket') await upgraded(socket);
  return socket;
}

inEveryWay(({ options, ends, revision }) => {
  test('connects, and ends on the right transport', async () => {
    const socket = await settled(options, ends);
    assert.equal(socket.io.engine.transport.name, ends);
    // A v2 client is not told its id: it takes the session's.
    if (revision === 3) assert.equal(socket.id, socket.io.engine.id);
    else assert.notEqual(socket.id, socket.io.engine.id);
  });

  test('is told its auth first: a v2 client has none in the main namespace', async () => {
    const auth = { token: UNICODE, deep: [1, { two: true }] };
    const socket = client(server, { ...options, auth });
    assert.deepEqual(await event(socket, 'auth'), [revision === 3 ? {} : auth]);
  });

  test('any arguments come back', async () => {
    const socket = await settled(options, ends);
    const sent = [1, -0.5, UNICODE, '', null, true, [], { three: [{ [UNICODE]: '€' }] }];
    socket.emit('message', ...sent);
    assert.deepEqual(await event(socket, 'message-back'), sent);
  });

  test('binary comes back, deep inside an argument too', async () => {
    const socket = await settled(options, ends);
    const sent = [Buffer.from([0, 255, 30]), UNICODE, { deep: [Buffer.from('4hello'), { er: Buffer.alloc(0) }] }];
    socket.emit('message', ...sent);
    assert.deepEqual(await event(socket, 'message-back'), sent);
  });

  test('acknowledgements come back', async () => {
    const socket = await settled(options, ends);
    const sent = [1, UNICODE, { 3: [false] }, Buffer.from([1, 2])];
    const answer = new Promise((resolve) => {
      socket.emit('message-with-ack', ...sent, (...args) => resolve(args));
    });
    assert.deepEqual(await within(answer, 'the acknowledgement'), sent);
  });

  test('the server asks for acknowledgements and reads them', async () => {
    const socket = await settled(options, ends);
    socket.emit('emit-with-ack', 'question', Buffer.from([7]));
    const [question, bytes, answer] = await event(socket, 'emit-with-ack');
    assert.deepEqual([question, bytes], ['question', Buffer.from([7])]);
    answer(UNICODE, { bytes: Buffer.from([8]) });
    assert.deepEqual(await event(socket, 'emit-with-ack'), [UNICODE, { bytes: Buffer.from([8]) }]);
  });

  test('a thousand messages keep their order, sent from the first moment on', async () => {
    const socket = client(server, options);
    const count = 1000;
    const seen = [];
    const done = new Promise((resolve) => {
      socket.on('message-back', (number) => seen.push(number) === count && resolve());
    });
    let next = 0;
    // In batches with pauses of the event loop's own length, so that an upgrade falls in between.
    const batch = () => {
      for (let n = 0; n < 10 && next < count; n++) socket.emit('message', next++, next % 7 ? '€' : Buffer.from([1]));
      if (next < count) setImmediate(batch);
    };
    socket.once('connect', batch);
    await within(done, 'a thousand messages');
    assert.deepEqual(seen, Array.from({ length: count }, (_, number) => number));
    assert.equal(socket.io.engine.transport.name, ends);
  });

  test('a message of several hundred kilobytes comes back', async () => {
    const socket = await settled(options, ends);
    const sent = [Buffer.alloc(300_000, 'bytes'), UNICODE.repeat(20_000)];
    socket.emit('message', ...sent);
    assert.deepEqual(await event(socket, 'message-back'), sent);
  });

  test('namespaces share the connection, with an id and an auth each', async () => {
    const socket = await settled(options, ends);
    const query = { token: 'a b&c', [UNICODE]: UNICODE };
    const custom = join(socket, '/custom', revision === 3 ? { query } : { auth: query });
    assert.deepEqual(await event(custom, 'auth'), [query]);
    assert.ok(custom.connected);
    if (revision === 3) assert.equal(custom.id, `/custom#${socket.io.engine.id}`);
    else assert.notEqual(custom.id, socket.id);
    const plain = client(server, { ...options, namespace: '/custom' });
    assert.deepEqual(await event(plain, 'auth'), [{}]);
  });

  test('an unknown namespace is refused, and the others live on', async () => {
    const socket = await settled(options, ends);
    const random = join(socket, '/random');
    const [error] = await event(random, revision === 3 ? 'error' : 'connect_error');
    if (revision === 3) assert.deepEqual(error, { message: 'Invalid namespace' });
    else assert.ok(error instanceof Error && error.message === 'Invalid namespace');
    assert.ok(!random.connected);
    socket.emit('message', 'still here');
    assert.deepEqual(await event(socket, 'message-back'), ['still here']);
  });

  test('leaving a namespace keeps the connection, and it can be joined again', async () => {
    const socket = await settled(options, ends);
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

  test('a client that disconnects can come back', async () => {
    const socket = await settled(options, ends);
    const before = socket.id;
    const left = event(socket, 'disconnect');
    socket.disconnect();
    assert.equal((await left)[0], 'io client disconnect');
    const back = event(socket, 'connect');
    socket.connect();
    await back;
    assert.notEqual(socket.id, before);
  });

  test('a client whose server goes away reconnects to the next', async () => {
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
});

describe('heartbeat', () => {
  let strict;
  before(async () => {
    strict = await start(PROGRAM, { ALLOW_EIO3: '1' });
  });
  after(() => strict?.stop());

  inEveryWay(({ options, ends }) => {
    test('a connection outlives three times its timeout', async () => {
      const socket = await connected(strict, options);
      const disconnected = [];
      socket.on('disconnect', (reason) => disconnected.push(reason));
      // One each ping interval of 300 ms, whoever pings; without them it would be over after 500 ms.
      for (let round = 0; round < 5; round++) await event(socket.io.engine, 'pong');
      socket.emit('message', 'still here');
      assert.deepEqual(await event(socket, 'message-back'), ['still here']);
      assert.deepEqual(disconnected, []);
      assert.equal(socket.io.engine.transport.name, ends);
    });
  });
});

describe('clients of revision 3 where it is not allowed', () => {
  let modern;
  before(async () => {
    modern = await start(PROGRAM);
  });
  after(() => modern?.stop());

  for (const path of ['/engine.io/', '/socket.io/']) {
    test(`are refused with code 5: ${path}`, async () => {
      const { status, body } = await new Endpoint(modern, path).request('?EIO=3&transport=polling');
      assert.deepEqual([status, JSON.parse(body).code], [400, 5]);
    });
  }

  for (const transport of ['polling', 'websocket']) {
    test(`are told so: socket.io-client 2.5.0 over ${transport}`, async () => {
      const socket = client(modern, { io: ioOfV2, transports: [transport], reconnection: false });
      await event(socket, 'connect_error');
      assert.ok(!socket.connected);
    });
  }

  test('while those of revision 4 connect', async () => {
    await connected(modern, { io: ioOfV3 });
  });
});

describe('the bare Engine.IO clients', () => {
  const ENGINES = {
    'engine.io-client 3.5.4': (url, options) => engineOfV3(url, options),
    'engine.io-client 6.6.8': (url, options) => new LatestEngine(url, options),
  };
  let strict;
  before(async () => {
    strict = await start(PROGRAM, { ALLOW_EIO3: '1' });
  });
  after(() => strict?.stop());

  for (const [name, dial] of Object.entries(ENGINES)) {
    for (const [way, { ends, ...options }] of Object.entries(WAYS)) {
      describe(`${name}, ${way}`, () => {
        let engine;
        const open = async (to) => {
          engine = dial(to.url, options);
          await event(engine, 'open');
          if (engine.transport.name !== ends) await event(engine, 'upgrade');
          return engine;
        };
        afterEach(() => engine?.close());

        test('text and binary come back in order', async () => {
          await open(server);
          // An empty text is left out: these clients make nothing at all of it.
          const sent = ['hello', UNICODE, Buffer.from([1, 2, 3, 4]), 'b4AQ==', Buffer.alloc(0), Buffer.alloc(200_000, 7)];
          const seen = [];
          const done = new Promise((resolve) => {
            engine.on('message', (data) => seen.push(data) === sent.length && resolve());
          });
          sent.forEach((data) => engine.send(data));
          await within(done, 'the echo');
          assert.deepEqual(seen.map((data) => (typeof data === 'string' ? data : Buffer.from(data))), sent);
          assert.equal(engine.transport.name, ends);
        });

        test('what is sent from the first moment on keeps its order', async () => {
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

        test('lives on by its heartbeat, and closes when it wants to', async () => {
          await open(strict);
          for (let round = 0; round < 5; round++) await event(engine, 'pong');
          assert.equal(engine.readyState, 'open');
          const closed = event(engine, 'close');
          engine.close();
          assert.equal((await closed)[0], 'forced close');
        });
      });
    }
  }
});
