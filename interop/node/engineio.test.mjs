// Engine.IO revision 4 with raw requests. Except for the echo, `/socket.io/` must behave like `/engine.io/`.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Endpoint } from '../lib/raw.mjs';
import { CALM, program, QUICK, start } from '../lib/server.mjs';

let server;
let quick;
before(async () => {
  server = await start(program('CONFORMANCE_SERVER'), CALM);
  quick = await start(program('CONFORMANCE_SERVER'), QUICK);
});
after(() => Promise.all([server, quick].map((each) => each?.stop())));

const SEPARATOR = '\x1e';
const POLLING = '?EIO=4&transport=polling';

for (const path of ['/engine.io/', '/socket.io/']) {
  describe(path, () => {
    let engine;
    before(() => {
      engine = new Endpoint(server, path);
    });

    describe('handshake', () => {
      const KEYS = ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades'];

      test('over polling has exactly its five keys', async () => {
        const handshake = await engine.handshake();
        assert.deepEqual(Object.keys(handshake).sort(), KEYS);
        assert.equal(typeof handshake.sid, 'string');
      });

      test('over WebSocket is the same JSON as the first text frame', async () => {
        const socket = await engine.open();
        const handshake = JSON.parse(socket.opening.slice(1));
        assert.deepEqual(Object.keys(handshake).sort(), KEYS);
        assert.deepEqual(handshake.upgrades, []);
        socket.drop();
      });

      for (const query of ['?transport=polling', '?EIO=abc&transport=polling']) {
        test(`over polling is refused with a missing or invalid EIO: ${query}`, async () => {
          assert.equal((await engine.request(query)).status, 400);
        });
      }

      for (const query of ['?EIO=4', '?EIO=4&transport=abc', '?EIO=4&transport=constructor']) {
        test(`over polling is refused with a missing or unknown transport: ${query}`, async () => {
          assert.equal((await engine.request(query)).status, 400);
        });
      }

      for (const method of ['POST', 'PUT']) {
        test(`is refused by ${method} without sid`, async () => {
          assert.equal((await engine.request(POLLING, { method })).status, 400);
        });
      }

      for (const query of ['?transport=websocket', '?EIO=abc&transport=websocket', '?EIO=4', '?EIO=4&transport=abc']) {
        test(`over WebSocket is refused or closed: ${query}`, async () => {
          await engine.socket(query).close();
        });
      }
    });

    describe('heartbeat', () => {
      let engine;
      before(() => {
        engine = new Endpoint(quick, path);
      });

      test('over polling: three rounds of ping and pong', async () => {
        const { sid } = await engine.handshake();
        for (let round = 0; round < 3; round++) {
          assert.equal((await engine.poll(sid)).body, '2');
          assert.equal((await engine.push(sid, '3')).status, 200);
        }
      });

      test('over WebSocket: three rounds of ping and pong, without other packets', async () => {
        const socket = await engine.open();
        for (let round = 0; round < 3; round++) {
          assert.equal(await socket.next(), '2');
          socket.send('3');
        }
        socket.drop();
      });

      test('over polling: without a pong the session is gone', async () => {
        const { sid } = await engine.handshake();
        assert.equal((await engine.poll(sid)).body, '2');
        // Pending until the timeout. The kind of response does not matter.
        await engine.poll(sid).catch(() => {});
        await engine.assertGone(sid);
      });

      test('over WebSocket: without a pong the connection is closed', async () => {
        const socket = await engine.open();
        await socket.close();
      });
    });

    describe('close', () => {
      test('POST 1 ends a pending GET with a noop, and the session', async () => {
        const { sid } = await engine.handshake();
        const waiting = await engine.waitingPoll(sid);
        assert.equal((await engine.push(sid, '1')).status, 200);
        const { status, body } = await waiting.answer;
        assert.deepEqual([status, body], [200, '6']);
        await engine.assertGone(sid);
      });

      // The heartbeat ends the connection, not the packet itself.
      test('1 over WebSocket closes the connection', async () => {
        const socket = await new Endpoint(quick, path).open();
        socket.send('1');
        await socket.close();
      });

      test('a second GET ends both, and the session', async () => {
        const { sid } = await engine.handshake();
        const first = await engine.waitingPoll(sid);
        const second = await engine.poll(sid);
        assert.ok([400, 500].includes(second.status), `status ${second.status}`);
        const { status, body } = await first.answer;
        assert.deepEqual([status, body], [200, '1']);
        await engine.assertGone(sid);
      });

      test('a GET that the client aborts ends the session', async () => {
        const { sid } = await engine.handshake();
        const aborted = new AbortController();
        const waiting = await engine.waitingPoll(sid, { signal: aborted.signal });
        aborted.abort();
        await assert.rejects(waiting.answer);
        await engine.assertGone(sid);
      });

      test('an undecodable POST gets 400 and ends the session', async () => {
        const { sid } = await engine.handshake();
        assert.equal((await engine.push(sid, 'abc')).status, 400);
        await engine.assertGone(sid);
      });

      test('an invalid frame closes the WebSocket', async () => {
        const socket = await engine.open();
        socket.send('abc');
        await socket.close();
      });
    });

    describe('upgrade', () => {
      /** A packet that the server answers in any state, and the answer. */
      const [question, answer] =
        path === '/engine.io/' ? ['4hello', '4hello'] : ['40/unknown,', '44/unknown,{"message":"Invalid namespace"}'];

      async function probe() {
        const { sid } = await engine.handshake();
        const socket = engine.socket(`?EIO=4&transport=websocket&sid=${sid}`);
        await socket.opened();
        socket.send('2probe');
        assert.equal(await socket.next(), '3probe');
        return { sid, socket };
      }

      test('a probe ping gets a probe pong', async () => {
        const { socket } = await probe();
        socket.drop();
      });

      test('a GET between probe and upgrade ends with a noop', async () => {
        const { sid, socket } = await probe();
        const { status, body } = await engine.poll(sid);
        assert.deepEqual([status, body], [200, '6']);
        socket.drop();
      });

      test('a GET that waits when the probe comes ends with a noop', async () => {
        const { sid } = await engine.handshake();
        const waiting = await engine.waitingPoll(sid);
        const socket = engine.socket(`?EIO=4&transport=websocket&sid=${sid}`);
        await socket.opened();
        socket.send('2probe');
        assert.equal(await socket.next(), '3probe');
        assert.equal((await waiting.answer).body, '6');
        socket.drop();
      });

      test('packets sent right after the upgrade packet are answered on the WebSocket', async () => {
        const { sid, socket } = await probe();
        assert.equal((await engine.poll(sid)).body, '6');
        socket.send('5', question);
        assert.equal(await socket.next(), answer);
        socket.drop();
      });

      test('polling has ended after the upgrade', async () => {
        const { sid, socket } = await probe();
        await engine.poll(sid);
        socket.send('5', question);
        // The answer on the WebSocket shows that the upgrade is complete.
        assert.equal(await socket.next(), answer);
        await engine.assertGone(sid);
        socket.drop();
      });

      test('a second WebSocket for the session is closed, and the first still works', async () => {
        const { sid, socket } = await probe();
        await engine.poll(sid);
        socket.send('5', question);
        assert.equal(await socket.next(), answer);
        await engine.socket(`?EIO=4&transport=websocket&sid=${sid}`).close();
        socket.send(question);
        assert.equal(await socket.next(), answer);
        socket.drop();
      });

      test('a lost probe leaves the session on polling', async () => {
        const { sid, socket } = await probe();
        socket.drop();
        await socket.closed;
        assert.equal((await engine.push(sid, question)).body, 'ok');
        let body;
        do ({ body } = await engine.poll(sid));
        while (body === '6');
        assert.equal(body, answer);
      });
    });
  });
}

describe('echo over polling', () => {
  let engine;
  before(() => {
    engine = new Endpoint(server, '/engine.io/');
  });

  test('POST is answered with ok, and the next GET gives exactly the echo', async () => {
    const { sid } = await engine.handshake();
    const pushed = await engine.push(sid, '4hello');
    assert.deepEqual([pushed.status, pushed.body], [200, 'ok']);
    const polled = await engine.poll(sid);
    assert.deepEqual([polled.status, polled.body], [200, '4hello']);
  });

  test('several packets in one body keep their order', async () => {
    const { sid } = await engine.handshake();
    const body = ['4test1', '4test2', '4téŝt3€😀'].join(SEPARATOR);
    assert.equal((await engine.push(sid, body)).body, 'ok');
    assert.equal((await engine.poll(sid)).body, body);
  });

  test('binary data is a `b` and base64, without a packet type', async () => {
    const { sid } = await engine.handshake();
    const body = ['4hello', 'bAQIDBA=='].join(SEPARATOR);
    assert.equal((await engine.push(sid, body)).body, 'ok');
    assert.equal((await engine.poll(sid)).body, body);
  });

  test('the answer to a GET is plain text in UTF-8', async () => {
    const { sid } = await engine.handshake();
    await engine.push(sid, '4hello');
    assert.match((await engine.poll(sid)).headers.get('content-type'), /^text\/plain; ?charset=utf-8$/i);
  });
});

describe('echo over WebSocket', () => {
  test('text and binary frames come back unchanged', async () => {
    const socket = await new Endpoint(server, '/engine.io/').open();
    socket.send('4hello', Buffer.from([1, 2, 3, 4]), '4', Buffer.alloc(0));
    assert.equal(await socket.next(), '4hello');
    assert.deepEqual(await socket.next(), Buffer.from([1, 2, 3, 4]));
    assert.equal(await socket.next(), '4');
    assert.deepEqual(await socket.next(), Buffer.alloc(0));
    socket.drop();
  });
});
