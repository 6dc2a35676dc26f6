// Engine.IO revision 3, which Socket.IO v2 clients use, with raw requests. Only `/engine.io/` shows single packets, because
// `/socket.io/` connects such a client to its main namespace at once.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Endpoint } from '../lib/raw.mjs';
import { CALM, program, QUICK, start } from '../lib/server.mjs';

let server;
let quick;
let engine;
before(async () => {
  server = await start(program('CONFORMANCE_SERVER'), { ...CALM, ALLOW_EIO3: '1' });
  quick = await start(program('CONFORMANCE_SERVER'), { ...QUICK, ALLOW_EIO3: '1' });
  engine = new Endpoint(server, '/engine.io/', 3);
});
after(() => Promise.all([server, quick].map((each) => each?.stop())));

const BYTES = Buffer.from([1, 2, 3, 4]);
/** `4hello` and a message of `BYTES` as a binary payload. */
const BINARY_PAYLOAD = Buffer.from('\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04', 'latin1');
const TEXT_PAYLOAD = '6:4hello10:b4AQIDBA==';

/** A client of revision 4. Each ping that it gets marks the end of a ping interval. */
async function clock() {
  const socket = await new Endpoint(quick, '/engine.io/').open();
  return {
    async tick() {
      assert.equal(await socket.next(), '2');
      socket.send('3');
    },
    drop: () => socket.drop(),
  };
}

describe('handshake', () => {
  const KEYS = ['pingInterval', 'pingTimeout', 'sid', 'upgrades'];

  for (const more of ['', '&b64=1']) {
    test(`over polling is text after its length: "${more}"`, async () => {
      const { body, headers } = await engine.request(`${engine.polling}${more}`);
      const [, length, packet] = body.match(/^(\d+):(0\{.*\})$/);
      assert.equal(Number(length), packet.length);
      assert.match(headers.get('content-type'), /^text\/plain; ?charset=utf-8$/i);
      const handshake = JSON.parse(packet.slice(1));
      for (const key of KEYS) assert.ok(key in handshake, key);
      assert.deepEqual(handshake.upgrades, ['websocket']);
    });
  }

  test('over WebSocket is the first text frame, without a length', async () => {
    const socket = await engine.open();
    const handshake = JSON.parse(socket.opening.slice(1));
    for (const key of KEYS) assert.ok(key in handshake, key);
    assert.deepEqual(handshake.upgrades, []);
    socket.drop();
  });

  for (const query of ['?transport=polling', '?EIO=abc&transport=polling', '?EIO=2&transport=polling']) {
    test(`is that of revision 3 whenever EIO is not 4: ${query}`, async () => {
      assert.match((await engine.request(query)).body, /^\d+:0\{/);
      const socket = engine.socket(query.replace('polling', 'websocket'));
      assert.match(await socket.next(), /^0\{/);
      socket.drop();
    });
  }

  test('is refused without a transport', async () => {
    assert.equal((await engine.request('?EIO=3')).status, 400);
  });
});

describe('echo over polling', () => {
  test('POST is answered with ok, and the next GET gives exactly the echo', async () => {
    const { sid } = await engine.handshake();
    const pushed = await engine.push(sid, '6:4hello');
    assert.deepEqual([pushed.status, pushed.body], [200, 'ok']);
    const polled = await engine.poll(sid);
    assert.deepEqual([polled.status, polled.body], [200, '6:4hello']);
  });

  test('each packet of a body follows its length in characters', async () => {
    const { sid } = await engine.handshake();
    const packets = ['4test1', '4', '4téŝt3€', '4😀', '4:7:'];
    const body = packets.map((packet) => `${packet.length}:${packet}`).join('');
    assert.equal((await engine.push(sid, body)).body, 'ok');
    assert.equal((await engine.poll(sid)).body, body);
  });

  test('binary is base64 for a session that was opened with b64=1', async () => {
    const { sid } = await engine.handshake('&b64=1');
    assert.equal((await engine.push(sid, TEXT_PAYLOAD)).body, 'ok');
    const { body, headers } = await engine.poll(sid);
    assert.equal(body, TEXT_PAYLOAD);
    assert.match(headers.get('content-type'), /^text\/plain/);
  });

  test('binary is a binary payload for any other session', async () => {
    const { sid } = await engine.handshake();
    assert.equal((await engine.push(sid, TEXT_PAYLOAD)).body, 'ok');
    const { bytes, headers } = await engine.poll(sid);
    assert.deepEqual(bytes, BINARY_PAYLOAD);
    assert.equal(headers.get('content-type'), 'application/octet-stream');
    await engine.push(sid, '3:4hi');
    assert.equal((await engine.poll(sid)).body, '3:4hi');
  });

  for (const [more, echo] of [['', BINARY_PAYLOAD], ['&b64=1', Buffer.from(TEXT_PAYLOAD)]]) {
    test(`a binary payload may be posted: "${more}"`, async () => {
      const { sid } = await engine.handshake(more);
      const headers = { 'content-type': 'application/octet-stream' };
      assert.equal((await engine.push(sid, BINARY_PAYLOAD, headers)).body, 'ok');
      assert.deepEqual((await engine.poll(sid)).bytes, echo);
    });
  }

  test('text beside binary keeps its characters', async () => {
    const { sid } = await engine.handshake();
    await engine.push(sid, '4:4€😀4:b4AQ');
    const text = Buffer.from('4€😀');
    const expected = [Buffer.from([0, text.length, 0xff]), text, Buffer.from([1, 2, 0xff, 4, 1])];
    assert.deepEqual((await engine.poll(sid)).bytes, Buffer.concat(expected));
  });
});

describe('echo over WebSocket', () => {
  test('text comes back unchanged', async () => {
    const socket = await engine.open();
    socket.send('4hello', '4', '4€😀');
    assert.equal(await socket.next(), '4hello');
    assert.equal(await socket.next(), '4');
    assert.equal(await socket.next(), '4€😀');
    socket.drop();
  });

  test('binary frames start with the type byte, in both directions', async () => {
    const socket = await engine.open();
    const frames = [Buffer.from([4, 1, 2, 3, 4]), Buffer.from([4])];
    socket.send(...frames, 'b4AQIDBA==');
    assert.deepEqual(await socket.next(), frames[0]);
    assert.deepEqual(await socket.next(), frames[1]);
    assert.deepEqual(await socket.next(), frames[0]);
    socket.drop();
  });

  test('a client that asked for b64=1 gets binary as text', async () => {
    const socket = await engine.open('&b64=1');
    socket.send(Buffer.from([4, ...BYTES]), '4hello');
    assert.equal(await socket.next(), 'b4AQIDBA==');
    assert.equal(await socket.next(), '4hello');
    socket.drop();
  });
});

describe('heartbeat', () => {
  let engine;
  before(() => {
    engine = new Endpoint(quick, '/engine.io/', 3);
  });

  test('over polling the server answers each ping of the client', async () => {
    const { sid } = await engine.handshake();
    const time = await clock();
    for (let round = 0; round < 3; round++) {
      await time.tick();
      assert.equal((await engine.push(sid, '1:2')).status, 200);
      assert.equal((await engine.poll(sid)).body, '1:3');
    }
    time.drop();
  });

  test('over WebSocket the server answers each ping of the client and sends nothing else', async () => {
    const socket = await engine.open();
    const time = await clock();
    for (let round = 0; round < 3; round++) {
      await time.tick();
      socket.send('2');
      assert.equal(await socket.next(), '3');
    }
    time.drop();
    socket.drop();
  });

  test('over polling: without a ping the session is gone', async () => {
    const { sid } = await engine.handshake();
    // Pending until the timeout. The kind of response does not matter.
    await engine.poll(sid).catch(() => {});
    await engine.assertGone(sid);
  });

  test('over WebSocket: without a ping the connection is closed', async () => {
    const socket = await engine.open();
    await socket.close();
  });
});

describe('close', () => {
  test('POST 1 ends a pending GET with a noop, and the session', async () => {
    const { sid } = await engine.handshake();
    const waiting = await engine.waitingPoll(sid);
    assert.equal((await engine.push(sid, '1:1')).status, 200);
    const { status, body } = await waiting.answer;
    assert.deepEqual([status, body], [200, '1:6']);
    await engine.assertGone(sid);
  });

  test('1 over WebSocket closes the connection', async () => {
    const socket = await new Endpoint(quick, '/engine.io/', 3).open();
    socket.send('1');
    await socket.close();
  });

  test('a second GET ends both, and the session', async () => {
    const { sid } = await engine.handshake();
    const first = await engine.waitingPoll(sid);
    const second = await engine.poll(sid);
    assert.ok([400, 500].includes(second.status), `status ${second.status}`);
    const { status, body } = await first.answer;
    assert.deepEqual([status, body], [200, '1:1']);
    await engine.assertGone(sid);
  });

  for (const body of ['abc', '4hello', '7:4hello', '5:4hello', '1:9', '']) {
    test(`an undecodable POST gets 400 and ends the session: "${body}"`, async () => {
      const { sid } = await engine.handshake();
      assert.equal((await engine.push(sid, body)).status, 400);
      await engine.assertGone(sid);
    });
  }

  for (const frame of ['abc', Buffer.from([9, 1]), Buffer.alloc(0)]) {
    test(`an invalid frame closes the WebSocket: ${JSON.stringify(frame)}`, async () => {
      const socket = await engine.open();
      socket.send(frame);
      await socket.close();
    });
  }
});

describe('upgrade', () => {
  async function probe() {
    const { sid } = await engine.handshake();
    const socket = engine.socket(`${engine.websocket}&sid=${sid}`);
    await socket.opened();
    socket.send('2probe');
    assert.equal(await socket.next(), '3probe');
    return { sid, socket };
  }

  test('a GET between probe and upgrade ends with a noop', async () => {
    const { sid, socket } = await probe();
    const { status, body } = await engine.poll(sid);
    assert.deepEqual([status, body], [200, '1:6']);
    socket.drop();
  });

  test('a GET that waits when the probe comes ends with a noop', async () => {
    const { sid } = await engine.handshake();
    const waiting = await engine.waitingPoll(sid);
    const socket = engine.socket(`${engine.websocket}&sid=${sid}`);
    await socket.opened();
    socket.send('2probe');
    assert.equal(await socket.next(), '3probe');
    assert.equal((await waiting.answer).body, '1:6');
    socket.drop();
  });

  test('packets and pings sent right after the upgrade packet are answered on the WebSocket', async () => {
    const { sid, socket } = await probe();
    assert.equal((await engine.poll(sid)).body, '1:6');
    socket.send('5', '4hello', Buffer.from([4, ...BYTES]));
    assert.equal(await socket.next(), '4hello');
    assert.deepEqual(await socket.next(), Buffer.from([4, ...BYTES]));
    socket.send('2');
    assert.equal(await socket.next(), '3');
    socket.drop();
  });

  test('the parameter b64 of the WebSocket counts, not that of the polling before it', async () => {
    const { sid } = await engine.handshake('&b64=1');
    const socket = engine.socket(`${engine.websocket}&sid=${sid}`);
    await socket.opened();
    socket.send('2probe', '5', Buffer.from([4, ...BYTES]));
    assert.equal(await socket.next(), '3probe');
    assert.deepEqual(await socket.next(), Buffer.from([4, ...BYTES]));
    socket.drop();
  });

  test('polling has ended after the upgrade, and a second WebSocket is closed', async () => {
    const { sid, socket } = await probe();
    await engine.poll(sid);
    socket.send('5', '2');
    assert.equal(await socket.next(), '3');
    await engine.assertGone(sid);
    await engine.socket(`${engine.websocket}&sid=${sid}`).close();
    socket.send('4still here');
    assert.equal(await socket.next(), '4still here');
    socket.drop();
  });
});

test('clients of both revisions are served side by side', async () => {
  const [older, newer] = [engine, new Endpoint(server, '/engine.io/')];
  const [one, other] = [await older.handshake(), await newer.handshake()];
  await older.push(one.sid, '6:4older');
  await newer.push(other.sid, '4newer');
  // Requests with the other revision are refused and have no effect.
  assert.equal((await newer.poll(one.sid)).status, 400);
  assert.equal((await older.poll(other.sid)).status, 400);
  assert.equal((await older.poll(one.sid)).body, '6:4older');
  assert.equal((await newer.poll(other.sid)).body, '4newer');
});
