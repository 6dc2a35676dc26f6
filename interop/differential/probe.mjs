// Sends one request to one server, and returns everything observable about the response in a form that can be compared.

import { frame, request, Wire } from './wire.mjs';

/** The headers that a client of the protocol uses. The framing of the body is not compared. */
const HEADERS = ['content-type', 'cache-control', 'upgrade', 'sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-version',
  'sec-websocket-extensions', 'set-cookie', 'allow', 'location'];

export const UPGRADE = {
  Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
};

export class Probe {
  #wires = [];

  /** `quiet` is the time without a byte, in ms, after which a response counts as complete. */
  constructor(port, path, quiet) {
    Object.assign(this, { port, path, quiet });
  }

  async wire() {
    const wire = await Wire.open(this.port);
    this.#wires.push(wire);
    return wire;
  }

  end() {
    this.#wires.forEach((wire) => wire.drop());
  }

  /** Sends bytes on a new connection, and returns the response. */
  async ask(bytes, { head, watch = false } = {}) {
    const wire = await this.wire();
    wire.write(bytes);
    return this.answer(wire, { head, watch });
  }

  /** Everything received on a connection: a response, the frames after an upgrade, and the end of the connection if `watch` is set. */
  async answer(wire, { head, watch = false } = {}) {
    const response = await wire.response(this.quiet, { head });
    if (!response) return { nothing: wire.ended ?? 'waits' };
    const seen = this.seen(response);
    if (response.status === 101) Object.assign(seen, await this.tell(wire, []));
    else if (watch) {
      await wire.frames(this.quiet);
      seen.end = wire.ended ?? 'open';
    }
    return seen;
  }

  /** The compared parts of a response. */
  seen({ status, headers, body }) {
    const seen = { status, body: hidden(body.toString()) };
    for (const name of HEADERS) if (name in headers) seen[name] = headers[name].replaceAll('; ', ';').toLowerCase();
    return seen;
  }

  /** A request for the path, with this query. */
  send(method, query, options = {}) {
    return this.ask(request(method, `${this.path}${query}`, withLength(method, options)), { head: method === 'HEAD', ...options });
  }

  async open(eio = 4) {
    const wire = await this.wire();
    wire.write(request('GET', `${this.path}?EIO=${eio}&transport=polling`));
    const { body } = await wire.response(20_000);
    return JSON.parse(body.toString().match(/\{.*?\}/)[0]).sid;
  }

  /** A WebSocket for a new session, or for the session `sid`. */
  async websocket(eio = 4, sid) {
    const wire = await this.wire();
    const query = `?EIO=${eio}&transport=websocket${sid ? `&sid=${sid}` : ''}`;
    wire.write(request('GET', `${this.path}${query}`, { headers: UPGRADE }));
    const { status } = await wire.response(20_000);
    if (status !== 101) throw new Error(`no WebSocket, but ${status}`);
    if (!sid) wire.opening = await wire.frame(20_000);
    return wire;
  }

  /** Sends frames on a WebSocket, and returns the frames received and the end of the connection. */
  async tell(wire, sent) {
    for (const each of sent) wire.write(typeof each === 'string' ? frame(each) : each);
    const frames = (await wire.frames(this.quiet)).map(hidden);
    // After a close frame the connection may end at once, or when the client has responded.
    return frames.at(-1)?.startsWith('close') ? { frames } : { frames, end: wire.ended ?? 'open' };
  }

  /** Sends frames one by one. Each waits until nothing more arrives, so that the effect of the one before is known. */
  async tellSlowly(wire, sent) {
    const seen = [];
    for (const each of sent) {
      seen.push(await this.tell(wire, [each]));
      if (wire.ended || !('end' in seen.at(-1))) break;
    }
    return seen;
  }

  /** A session in one of its states: `{ sid, wire?, wait? }`. */
  async state(name, eio = 4) {
    if (name === 'none') return {};
    if (name === 'websocket') {
      const wire = await this.websocket(eio);
      return { sid: JSON.parse(wire.opening.match(/\{.*\}/)[0]).sid, wire };
    }
    const sid = await this.open(eio);
    const query = `?EIO=${eio}&transport=polling&sid=${sid}`;
    const from = async (bytes) => {
      const wire = await this.wire();
      wire.write(bytes);
      await this.#taken();
      return { sid, wire };
    };
    switch (name) {
      case 'polling':
        return { sid };
      case 'waiting':
        return from(request('GET', `${this.path}${query}`));
      case 'pushing':
        return from(request('POST', `${this.path}${query}`, { headers: { 'Content-Length': 6 }, body: '4ab' }));
      case 'probing':
      case 'upgraded': {
        const wire = await this.websocket(eio, sid);
        wire.write(frame('2probe'));
        await this.#expect(wire, '3probe');
        if (name === 'upgraded') {
          wire.write(frame('5'));
          wire.write(frame('4up'));
          await this.#expect(wire, '4up');
        }
        return { sid, wire };
      }
      case 'closed': {
        await this.send('POST', query, { body: eio === 3 ? '1:1' : '1' });
        return { sid };
      }
      default:
        throw new Error(name);
    }
  }

  async #expect(wire, text) {
    const frame = await wire.frame(20_000);
    if (frame !== `text ${text}`) throw new Error(`${text} expected, got ${frame}`);
  }

  /** Waits for the response to another request, so that the server has processed everything sent before. */
  async #taken() {
    await this.open();
    await this.open();
  }

  /** The state of a polling session: whether it accepts a message, and whether it echoes it. */
  async fate(sid, eio = 4) {
    const query = `?EIO=${eio}&transport=polling&sid=${sid}`;
    const push = await this.send('POST', query, { body: eio === 3 ? '6:4alive' : '4alive' });
    if (push.status !== 200) return brief(push);
    return [brief(push), brief(await this.send('GET', query))];
  }
}

export const brief = ({ status, body, nothing }) => nothing ?? `${status} ${body}`;

function withLength(method, { headers = {}, body = '', ...rest }) {
  const announced = 'Content-Length' in headers || 'Transfer-Encoding' in headers;
  const length = announced || (!body && method !== 'POST') ? {} : { 'Content-Length': Buffer.byteLength(body) };
  return { headers: { ...headers, ...length }, body, ...rest };
}

/** Replaces ids, which always differ. */
function hidden(text) {
  return text.replace(/"sid":"[^"]+"/g, '"sid":"SID"');
}
