// Node's server upgrades a WebSocket to WebTransport, once per session. The tests of `engineio-server` hold the same for
// ours. The session is an imitation of a browser's, so that no QUIC is needed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ReadableStream, TransformStream } from 'node:stream/web';

import { Server } from 'engine.io';
import { createPacketDecoderStream, createPacketEncoderStream } from 'engine.io-parser';
import { WebSocket } from 'ws';

import { within } from '../lib/raw.mjs';

const TRANSPORTS = ['polling', 'websocket', 'webtransport'];

let http;
let engine;
beforeEach(async () => {
  http = createServer();
  engine = new Server({ transports: TRANSPORTS });
  engine.attach(http);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
});
afterEach(() => {
  engine.close();
  http.close();
});

/** A session of a client, which sends and receives packets on its one stream. */
class Session {
  constructor() {
    const [up, down] = [createPacketEncoderStream(), createPacketDecoderStream(1e6, 'nodebuffer')];
    const toClient = new TransformStream();
    toClient.readable.pipeTo(down.writable).catch(() => {});
    this.writer = up.writable.getWriter();
    this.reader = down.readable.getReader();
    this.closed = new Promise((resolve) => {
      this.close = resolve;
    });
    const stream = { readable: up.readable, writable: toClient.writable };
    this.incomingBidirectionalStreams = new ReadableStream({ start: (streams) => streams.enqueue(stream) });
  }

  send(type, data) {
    this.writer.write({ type, data }).catch(() => {});
  }

  async packet() {
    return (await within(this.reader.read())).value;
  }
}

/** Opens a WebTransport session that names an Engine.IO session. */
function upgrade(sid) {
  const session = new Session();
  engine.onWebTransportSession(session);
  session.send('open', JSON.stringify({ sid }));
  return session;
}

/** Opens a WebSocket and reads its first packet. */
async function websocket(query = '') {
  const socket = new WebSocket(`ws://127.0.0.1:${http.address().port}/engine.io/?EIO=4&transport=websocket${query}`);
  const first = once(socket, 'message');
  await within(once(socket, 'open'));
  return [socket, first];
}

describe('the server of Node', () => {
  test('upgrades a session on a WebSocket to WebTransport and closes the WebSocket', async () => {
    const [socket, first] = await websocket();
    const { sid, upgrades } = JSON.parse(String((await within(first))[0]).slice(1));
    assert.deepEqual(upgrades, [], 'clients are not told');
    const session = upgrade(sid);
    session.send('ping', 'probe');
    assert.deepEqual(await session.packet(), { type: 'pong', data: 'probe' });
    const closed = once(socket, 'close');
    session.send('upgrade');
    await within(closed);
    const client = engine.clients[sid];
    assert.equal(client.transport.name, 'webtransport');
    const message = once(client, 'message');
    session.send('message', 'hello');
    assert.deepEqual(await within(message), ['hello']);
    client.send('news');
    assert.deepEqual(await session.packet(), { type: 'message', data: 'news' });
    await within(upgrade(sid).closed);
    assert.equal(client.readyState, 'open');
  });

  test('refuses WebTransport for a session that was upgraded to a WebSocket', async () => {
    const opened = await fetch(`http://127.0.0.1:${http.address().port}/engine.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await opened.text()).slice(1));
    const [socket] = await websocket(`&sid=${sid}`);
    const upgraded = once(engine.clients[sid], 'upgrade');
    socket.send('5');
    await within(upgraded);
    await within(upgrade(sid).closed);
    assert.equal(engine.clients[sid].transport.name, 'websocket');
    socket.close();
  });
});
