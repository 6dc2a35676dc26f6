// Socket.IO revision 5 with raw frames, which must match byte for byte.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Endpoint } from '../lib/raw.mjs';
import { CALM, program, QUICK, start } from '../lib/server.mjs';

let server;
let quick;
let endpoint;
before(async () => {
  server = await start(program('CONFORMANCE_SERVER'), CALM);
  quick = await start(program('CONFORMANCE_SERVER'), QUICK);
  endpoint = new Endpoint(server, '/socket.io/');
});
after(() => Promise.all([server, quick].map((each) => each?.stop())));

const BYTES = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];
const TWO = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';

/** Sends frames on a connected socket and compares what comes back. */
async function exchange(sent, expected) {
  const socket = await endpoint.connect();
  socket.send(...sent);
  for (const frame of expected) assert.deepEqual(await socket.next(), frame);
  socket.drop();
}

describe('connect', () => {
  const cases = [
    ['40', /^40\{"sid":"[^"]+"\}$/, '42["auth",{}]'],
    ['40{"token":"123"}', /^40\{"sid":"[^"]+"\}$/, '42["auth",{"token":"123"}]'],
    ['40/custom,', /^40\/custom,\{"sid":"[^"]+"\}$/, '42/custom,["auth",{}]'],
    ['40/custom', /^40\/custom,\{"sid":"[^"]+"\}$/, '42/custom,["auth",{}]'],
    ['40/custom,{"token":"abc"}', /^40\/custom,\{"sid":"[^"]+"\}$/, '42/custom,["auth",{"token":"abc"}]'],
  ];
  for (const [sent, reply, auth] of cases) {
    test(`${sent} is accepted, and its auth comes back at once`, async () => {
      const socket = await endpoint.open();
      socket.send(sent);
      assert.match(await socket.next(), reply);
      assert.equal(await socket.next(), auth);
      socket.drop();
    });
  }

  test('40/random is refused', async () => {
    const socket = await endpoint.open();
    socket.send('40/random');
    assert.equal(await socket.next(), '44/random,{"message":"Invalid namespace"}');
    socket.drop();
  });

  test('each namespace of a connection has its own id, which is not the session id', async () => {
    const socket = await endpoint.open();
    const { sid } = JSON.parse(socket.opening.slice(1));
    socket.send('40');
    const main = JSON.parse((await socket.next()).slice(2)).sid;
    await socket.next();
    socket.send('40/custom');
    const custom = JSON.parse((await socket.next()).slice('40/custom,'.length)).sid;
    assert.equal(new Set([sid, main, custom]).size, 3);
    socket.drop();
  });

  test('a connection without CONNECT is closed', async () => {
    const socket = await new Endpoint(quick, '/socket.io/').open();
    await socket.close();
  });

  test('over polling, the reply and the auth event share one body', async () => {
    const { sid } = await endpoint.handshake();
    assert.equal((await endpoint.push(sid, '40')).body, 'ok');
    let body = '';
    while (!body.includes('auth')) body += `${(await endpoint.poll(sid)).body}\x1e`;
    assert.match(body, /^40\{"sid":"[^"]+"\}\x1e42\["auth",\{\}\]\x1e$/);
  });
});

describe('message', () => {
  test('arguments come back unchanged', () =>
    exchange(['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']));

  test('binary arguments come back with their attachments', () =>
    exchange([`452-["message",${TWO}]`, ...BYTES], [`452-["message-back",${TWO}]`, ...BYTES]));

  test('numbers, escapes and key order survive', () =>
    exchange(
      ['42["message",{"z":1,"a":-0.5,"m":null},"é\\n\\"€😀",[]]'],
      ['42["message-back",{"z":1,"a":-0.5,"m":null},"é\\n\\"€😀",[]]'],
    ));

  test('without arguments comes back without arguments', () => exchange(['42["message"]'], ['42["message-back"]']));
});

describe('acknowledgement', () => {
  test('carries the same arguments', () =>
    exchange(['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]']));

  test('carries binary arguments', () =>
    exchange([`452-789["message-with-ack",${TWO}]`, ...BYTES], [`462-789[${TWO}]`, ...BYTES]));

  test('is requested by the server, and its values come back', async () => {
    const socket = await endpoint.connect();
    socket.send('42["emit-with-ack",1,"2"]');
    const asked = (await socket.next()).match(/^42(\d+)\["emit-with-ack",1,"2"\]$/);
    assert.ok(asked);
    socket.send(`43${asked[1]}["x",{"y":0}]`);
    assert.equal(await socket.next(), '42["emit-with-ack","x",{"y":0}]');
    socket.drop();
  });

  test('is requested by the server with binary data, and binary values come back', async () => {
    const socket = await endpoint.connect();
    socket.send(`452-["emit-with-ack",${TWO}]`, ...BYTES);
    const asked = (await socket.next()).match(/^452-(\d+)\["emit-with-ack",/);
    assert.ok(asked);
    assert.deepEqual([await socket.next(), await socket.next()], BYTES);
    socket.send(`461-${asked[1]}[{"_placeholder":true,"num":0}]`, BYTES[1]);
    assert.equal(await socket.next(), '451-["emit-with-ack",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.next(), BYTES[1]);
    socket.drop();
  });
});

describe('disconnect', () => {
  test('from the main namespace leaves the engine open', async () => {
    const socket = await new Endpoint(quick, '/socket.io/').connect();
    socket.send('41');
    assert.equal(await socket.next(), '2');
    socket.drop();
  });

  test('from a custom namespace does not affect the main one', async () => {
    const socket = await endpoint.connect();
    socket.send('40/custom');
    assert.match(await socket.next(), /^40\/custom,/);
    assert.equal(await socket.next(), '42/custom,["auth",{}]');
    socket.send('41/custom', '42["message",1]');
    assert.equal(await socket.next(), '42["message-back",1]');
    socket.drop();
  });
});

describe('a malformed packet closes the connection', () => {
  test('4abc before CONNECT', async () => {
    const socket = await endpoint.open();
    socket.send('4abc');
    await socket.close();
  });

  const cases = [
    ['4abc'],
    ['42{}'],
    ['42abc["message-with-ack",1]'],
    ['42[]'],
    ['42[{}]'],
    ['42["connect"]'],
    [Buffer.from([1])],
    ['451-["message",{"_placeholder":true,"num":3}]', Buffer.from([1])],
    ['452-["message",{"_placeholder":true,"num":0}]', '42["message"]'],
  ];
  for (const frames of cases) {
    test(`${frames.map((frame) => (typeof frame === 'string' ? frame : 'binary')).join(' then ')}`, async () => {
      const socket = await endpoint.connect();
      socket.send(...frames);
      await socket.close();
    });
  }
});
