// The protocol without a client library: plain HTTP requests and plain WebSocket frames.

import assert from 'node:assert/strict';
import { once } from 'node:events';

import WebSocket from 'ws';

/** Far longer than any wait of the protocol. It only makes a broken server fail a test instead of hanging it. */
const PATIENCE = 60_000;

export async function within(promise, what, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out waiting for ${what}`)), patience);
    // A wait that lost a race must not keep the test file running.
    timer.unref();
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One path of a server, such as `/engine.io/`, with one protocol revision. */
export class Endpoint {
  constructor(server, path, revision = 4) {
    this.base = `http://127.0.0.1:${server.port}${path}`;
    this.revision = revision;
    this.polling = `?EIO=${revision}&transport=polling`;
    this.websocket = `?EIO=${revision}&transport=websocket`;
  }

  /** Makes a request with exactly this query. */
  async request(query, options = {}) {
    const response = await within(fetch(`${this.base}${query}`, options), `a response to ${query}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, body: bytes.toString(), bytes, headers: response.headers };
  }

  /** Opens a polling session and returns the handshake. `more` is appended to the query. */
  async handshake(more = '') {
    const { status, body } = await this.request(`${this.polling}${more}`);
    assert.equal(status, 200);
    const packet = this.revision === 3 ? unframed(body) : body;
    assert.equal(packet[0], '0');
    return JSON.parse(packet.slice(1));
  }

  poll(sid, options) {
    return this.request(`${this.polling}&sid=${sid}`, options);
  }

  /** Starts a GET and returns when the server holds it: a request made after it has been answered. */
  async waitingPoll(sid, options) {
    const answer = this.poll(sid, options);
    answer.catch(() => {});
    await this.handshake();
    return { answer };
  }

  push(sid, body, headers) {
    return this.request(`${this.polling}&sid=${sid}`, { method: 'POST', body, headers });
  }

  /** Asserts that the session is closed. */
  async assertGone(sid) {
    assert.equal((await this.poll(sid)).status, 400);
  }

  /** Opens a WebSocket with exactly this query. */
  socket(query = this.websocket) {
    return new RawSocket(`${this.base.replace('http', 'ws')}${query}`);
  }

  /** Opens a WebSocket session and reads its handshake. */
  async open(more = '') {
    const socket = this.socket(`${this.websocket}${more}`);
    socket.opening = await socket.next();
    assert.equal(socket.opening[0], '0');
    return socket;
  }

  /** Opens a Socket.IO session on `/` over WebSocket and reads its `auth` event. */
  async connect() {
    const socket = await this.open();
    socket.send('40');
    assert.match(await socket.next(), /^40\{"sid":"[^"]+"\}$/);
    assert.equal(await socket.next(), '42["auth",{}]');
    return socket;
  }
}

/** The only packet of a text payload of revision 3. */
function unframed(body) {
  const [, length, packet] = body.match(/^(\d+):(.*)$/s);
  assert.equal(packet.length, Number(length));
  return packet;
}

/** A WebSocket whose frames are read one by one: text as a string, binary as a Buffer. */
export class RawSocket {
  #frames = [];
  #waiting = [];

  constructor(url) {
    this.ws = new WebSocket(url);
    this.ws.on('message', (data, isBinary) => this.#arrived(isBinary ? data : data.toString()));
    this.ws.on('error', () => {});
    /** Resolves with the close code, also if the connection is refused. */
    this.closed = new Promise((resolve) => this.ws.once('close', resolve));
    this.closed.then((code) => {
      this.#waiting.splice(0).forEach(({ reject }) => reject(new Error(`closed (${code})`)));
    });
  }

  opened() {
    return within(Promise.race([once(this.ws, 'open'), this.closed]), 'the WebSocket to open');
  }

  send(...frames) {
    frames.forEach((frame) => this.ws.send(frame));
  }

  /** The next frame. */
  next() {
    if (this.#frames.length > 0) return Promise.resolve(this.#frames.shift());
    if (this.ws.readyState === WebSocket.CLOSED) return Promise.reject(new Error('closed'));
    return within(new Promise((resolve, reject) => this.#waiting.push({ resolve, reject })), 'a frame');
  }

  /** Waits for the close. Ignores frames that arrive before it. */
  close() {
    return within(this.closed, 'the close');
  }

  drop() {
    this.ws.terminate();
  }

  #arrived(frame) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter.resolve(frame);
    else this.#frames.push(frame);
  }
}
