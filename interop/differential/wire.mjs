// One TCP connection, byte by byte: writes bytes and records everything received.

import { connect } from 'node:net';

const MASK = Buffer.from([1, 2, 3, 4]);
const OPS = { 0: 'continuation', 1: 'text', 2: 'binary', 8: 'close', 9: 'ping', 10: 'pong' };

/** The bytes of a request. A header that is null is left out; lines may be given as arrays. */
export function request(method, target, { headers = {}, body = '', version = 'HTTP/1.1' } = {}) {
  const all = { Host: 'localhost', ...headers };
  const lines = Object.entries(all).flatMap(([name, value]) => {
    if (value === null) return [];
    return [value].flat().map((each) => `${name}: ${each}\r\n`);
  });
  return Buffer.concat([Buffer.from(`${method} ${target} ${version}\r\n${lines.join('')}\r\n`, 'latin1'), Buffer.from(body)]);
}

/** A masked frame as a client sends it: `first` is its first byte (0x81 text, 0x82 binary, 0x88 close). */
export function frame(payload, first = 0x81, { masked = true, length } = {}) {
  const data = Buffer.from(payload);
  const announced = length ?? data.length;
  const flag = masked ? 0x80 : 0;
  let head;
  if (announced < 126) head = Buffer.from([first, flag | announced]);
  else if (announced < 65536) head = Buffer.from([first, flag | 126, announced >> 8, announced & 255]);
  else {
    head = Buffer.alloc(10);
    head.writeUInt16BE((first << 8) | flag | 127);
    head.writeBigUInt64BE(BigInt(announced), 2);
  }
  if (!masked) return Buffer.concat([head, data]);
  return Buffer.concat([head, MASK, data.map((byte, i) => byte ^ MASK[i % 4])]);
}

export class Wire {
  #socket;
  #bytes = Buffer.alloc(0);
  #wake = () => {};
  /** How the peer ended the connection: `end` or `reset`. */
  ended = null;

  static open(port) {
    const wire = new Wire();
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(wire));
      wire.#socket = socket;
      socket.setNoDelay(true);
      socket.on('data', (chunk) => wire.#happened(() => (wire.#bytes = Buffer.concat([wire.#bytes, chunk]))));
      socket.on('end', () => wire.#happened(() => (wire.ended ??= 'end')));
      socket.on('error', (error) => {
        reject(error);
        wire.#happened(() => (wire.ended ??= 'reset'));
      });
    });
  }

  #happened(change) {
    change();
    this.#wake();
  }

  write(bytes) {
    if (!this.ended) this.#socket.write(bytes);
  }

  drop() {
    this.#socket.destroy();
  }

  /** Resolves when `done()` returns a value, when the connection ends, or after `quiet` ms without a byte. */
  async until(done, quiet) {
    for (;;) {
      const found = done();
      if (found !== undefined) return found;
      if (this.ended) return undefined;
      const silent = await new Promise((resolve) => {
        const timer = setTimeout(resolve, quiet, true);
        this.#wake = () => {
          clearTimeout(timer);
          resolve(false);
        };
      });
      if (silent) return undefined;
    }
  }

  /** Removes and returns the next HTTP response. Undefined if there is none. */
  response(quiet, { head = false } = {}) {
    return this.until(() => this.#takeResponse(head), quiet);
  }

  /** The frames received until the time `quiet` has passed or the connection ends. */
  async frames(quiet) {
    const frames = [];
    await this.until(() => {
      for (let next; (next = this.#takeFrame()) !== undefined; ) frames.push(next);
      return undefined;
    }, quiet);
    return frames;
  }

  /** The next frame. */
  frame(quiet) {
    return this.until(() => this.#takeFrame(), quiet);
  }

  #takeResponse(head) {
    const end = this.#bytes.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const [line, ...lines] = this.#bytes.subarray(0, end).toString('latin1').split('\r\n');
    const headers = {};
    for (const each of lines) {
      const [name, value] = each.split(/:\s*(.*)/s);
      headers[name.toLowerCase()] = value;
    }
    const status = Number(line.split(' ')[1]);
    let rest = this.#bytes.subarray(end + 4);
    if (status === 100) {
      this.#bytes = rest;
      return this.#takeResponse(head);
    }
    let body = Buffer.alloc(0);
    if (head || status < 200 || status === 204) {
      // There is no body, even if the headers announce one.
    } else if (/chunked/i.test(headers['transfer-encoding'] ?? '')) {
      for (;;) {
        const line = rest.indexOf('\r\n');
        if (line < 0) return undefined;
        const size = parseInt(rest.subarray(0, line).toString(), 16);
        if (rest.length < line + size + 4) return undefined;
        body = Buffer.concat([body, rest.subarray(line + 2, line + 2 + size)]);
        rest = rest.subarray(line + size + 4);
        if (size === 0) break;
      }
    } else if ('content-length' in headers) {
      const length = Number(headers['content-length']);
      if (rest.length < length) return undefined;
      body = rest.subarray(0, length);
      rest = rest.subarray(length);
    } else {
      // The body ends with the connection.
      if (!this.ended) return undefined;
      body = rest;
      rest = Buffer.alloc(0);
    }
    this.#bytes = rest;
    return { status, headers, body };
  }

  #takeFrame() {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    let length = bytes[1] & 127;
    let start = 2;
    if (length === 126) {
      if (bytes.length < 4) return undefined;
      [length, start] = [bytes.readUInt16BE(2), 4];
    } else if (length === 127) {
      if (bytes.length < 10) return undefined;
      [length, start] = [Number(bytes.readBigUInt64BE(2)), 10];
    }
    if (bytes.length < start + length) return undefined;
    const payload = bytes.subarray(start, start + length);
    this.#bytes = bytes.subarray(start + length);
    const op = OPS[bytes[0] & 15];
    if (op === 'close') return `close ${length >= 2 ? payload.readUInt16BE(0) : ''}`.trim();
    return `${op} ${op === 'text' ? payload.toString() : payload.toString('hex')}`;
  }
}
