// Single requests: handshakes, and requests for sessions in each of their states.

import { UPGRADE } from './probe.mjs';
import { request } from './wire.mjs';

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'];

/** Queries without a session, including `EIO`. */
const QUERIES = [
  '', '?', '?EIO=4', '?EIO=3', '?transport=polling', '?EIO=&transport=polling', '?EIO=4&transport=polling', '?EIO=3&transport=polling',
  '?EIO=5&transport=polling', '?EIO=2&transport=polling', '?EIO=04&transport=polling', '?EIO=4%20&transport=polling',
  '?EIO=abc&transport=polling', '?EIO=%34&transport=polling', '?EIO=4&transport=p%6Flling', '?E%49O=4&tr%61nsport=polling',
  '?EIO=4&transport=', '?EIO=4&transport=tape', '?EIO=4&transport=constructor', '?EIO=4&transport=__proto__', '?EIO=4&transport=webtransport',
  '?EIO=4&transport=websocket', '?EIO=3&transport=websocket', '?transport=websocket', '?EIO=4&transport=polling&sid=', '?EIO=4&transport=polling&sid',
  '?EIO=4&transport=polling&sid=unknown', '?EIO=4&transport=polling&sid=__proto__', '?EIO=4&transport=polling&sid=%5f_proto__',
  '?EIO=4&transport=tape&transport=polling', '?EIO=4&transport=polling&transport=tape', '?EIO=3&EIO=4&transport=polling',
  '?EIO=4&EIO=3&transport=polling', '?EIO=4&transport=polling&sid=unknown&sid=', '?eio=4&transport=polling', '?EIO=4&TRANSPORT=polling',
  '?EIO=4&transport=Polling', '?EIO=4&amp;transport=polling', '?EIO=4;transport=polling', '?EIO=4&transport=polling&b64=1',
  '?EIO=3&transport=polling&b64=1', '?EIO=3&transport=polling&b64=', '?EIO=4&transport=polling%', '?EIO=4&transport=polling&x=%FF%',
  '?EIO=4&transport=poll+ing', '?EIO=4&transport=polling&t=1#fragment', '?&&EIO=4&&transport=polling&&', '?EIO=4&transport=polling=',
  '?EIO=4=&transport=polling',
];

/** Changes to the headers of a WebSocket request. */
const HEADERS = {
  'as they should be': {},
  'no key': { 'Sec-WebSocket-Key': null },
  'an empty key': { 'Sec-WebSocket-Key': '' },
  'a short key': { 'Sec-WebSocket-Key': 'AAAA' },
  'a long key': { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAAA==' },
  'a key that is not base64': { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' },
  'a key without padding': { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA' },
  'two keys': { 'Sec-WebSocket-Key': ['AAAAAAAAAAAAAAAAAAAAAA==', 'AAAAAAAAAAAAAAAAAAAAAA=='] },
  'no version': { 'Sec-WebSocket-Version': null },
  'version 8': { 'Sec-WebSocket-Version': '8' },
  'version 12': { 'Sec-WebSocket-Version': '12' },
  'version 13.0': { 'Sec-WebSocket-Version': '13.0' },
  'version x': { 'Sec-WebSocket-Version': 'x' },
  'no Host': { Host: null },
  'an empty Host': { Host: '' },
  'no Connection': { Connection: null },
  'a Connection that is kept': { Connection: 'keep-alive' },
  'a Connection of several words': { Connection: 'keep-alive, Upgrade' },
  'no Upgrade': { Upgrade: null },
  'another Upgrade': { Upgrade: 'h2c' },
  'an Upgrade in capitals': { Upgrade: 'WebSocket' },
  'a sub-protocol': { 'Sec-WebSocket-Protocol': 'chat' },
  'two sub-protocols': { 'Sec-WebSocket-Protocol': 'chat, superchat' },
  'two lines of sub-protocols': { 'Sec-WebSocket-Protocol': ['chat', 'superchat'] },
  'the same sub-protocol twice': { 'Sec-WebSocket-Protocol': 'chat, chat' },
  'an empty sub-protocol': { 'Sec-WebSocket-Protocol': '' },
  'an invalid sub-protocol': { 'Sec-WebSocket-Protocol': 'a b' },
  'a sub-protocol in quotes': { 'Sec-WebSocket-Protocol': '"chat"' },
  'a sub-protocol and a comma': { 'Sec-WebSocket-Protocol': 'chat,' },
  'a sub-protocol behind a comma': { 'Sec-WebSocket-Protocol': ',chat' },
  'an invalid second sub-protocol': { 'Sec-WebSocket-Protocol': 'chat, (x)' },
  'compression': { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
  'an origin': { Origin: 'http://elsewhere.test' },
};

const STATES = ['polling', 'waiting', 'pushing', 'probing', 'upgraded', 'websocket', 'closed'];

/** Queries for a session. SID stands for its id. */
const SESSION_QUERIES = {
  plain: (eio) => `?EIO=${eio}&transport=polling&sid=SID`,
  escaped: (eio) => `?EIO=${eio}&transport=p%6Flling&sid=ESCAPED`,
  'another EIO': (eio) => `?EIO=${7 - eio}&transport=polling&sid=SID`,
  'no EIO': () => '?transport=polling&sid=SID',
  'an EIO of no meaning': () => '?EIO=abc&transport=polling&sid=SID',
  'another transport': (eio) => `?EIO=${eio}&transport=websocket&sid=SID`,
  'no transport': (eio) => `?EIO=${eio}&sid=SID`,
};

const escaped = (text) => [...text].map((char) => `%${char.charCodeAt(0).toString(16)}`).join('');
const named = (query, sid) => query.replace('SID', sid).replace('ESCAPED', escaped(sid));
const short = (method) => (method === 'POST' ? { body: '' } : {});

function* handshakes() {
  for (const eio3 of [false, true]) {
    for (const query of QUERIES) {
      // Most queries get the same response with each method.
      const methods = /^(\?EIO=[34]&transport=(polling|websocket|polling&sid=unknown))?$/.test(query) ? METHODS : ['GET', 'POST'];
      for (const method of methods) yield [`${method} ${query}`, { eio3 }, (probe) => probe.send(method, query, short(method))];
      yield [`WebSocket ${query}`, { eio3 }, (probe) => probe.send('GET', query, { headers: UPGRADE })];
    }
  }
}

function* websockets() {
  for (const [what, headers] of Object.entries(HEADERS)) {
    const all = { headers: { ...UPGRADE, ...headers } };
    for (const query of ['?EIO=4&transport=websocket', '?EIO=4&transport=polling', '?EIO=4&transport=tape']) {
      yield [`WebSocket with ${what}: ${query}`, {}, (probe) => probe.send('GET', query, { ...all, watch: true })];
    }
    yield [`upgrade with ${what}`, {}, async (probe) => {
      const { sid } = await probe.state('polling');
      return [await probe.send('GET', `?EIO=4&transport=websocket&sid=${sid}`, all), await probe.fate(sid)];
    }];
  }
  for (const method of ['POST', 'PUT', 'OPTIONS', 'HEAD']) {
    yield [`WebSocket by ${method}`, {}, (probe) => probe.send(method, '?EIO=4&transport=websocket', { headers: UPGRADE })];
  }
  yield ['WebSocket in HTTP/1.0', {}, (probe) => probe.send('GET', '?EIO=4&transport=websocket', { headers: UPGRADE, version: 'HTTP/1.0' })];
}

function* sessions() {
  for (const eio of [4, 3]) for (const name of STATES) {
    const about = (what) => `revision ${eio}, ${name}: ${what}`;
    const ask = (method, query, options = {}) => async (probe) => {
      const { sid, wire } = await probe.state(name, eio);
      const answer = await probe.send(method, named(query, sid), { ...short(method), ...options });
      const waiting = name === 'waiting' || name === 'pushing' ? await probe.answer(wire) : undefined;
      const websocket = ['probing', 'upgraded', 'websocket'].includes(name) ? await probe.tell(wire, ['4alive']) : undefined;
      return { answer, waiting, websocket, fate: await probe.fate(sid, eio) };
    };
    for (const [what, query] of Object.entries(SESSION_QUERIES)) {
      for (const method of ['GET', 'POST']) {
        const options = method === 'POST' ? { body: eio === 3 ? '2:4a' : '4a' } : {};
        yield [about(`${method}, ${what}`), { eio3: true }, ask(method, query(eio), options)];
      }
      yield [about(`WebSocket, ${what}`), { eio3: true }, ask('GET', query(eio), { headers: UPGRADE })];
    }
    for (const method of METHODS.slice(2)) yield [about(method), { eio3: true }, ask(method, SESSION_QUERIES.plain(eio))];
    yield [about('upgrade, another EIO'), { eio3: true }, ask('GET', `?EIO=${7 - eio}&transport=websocket&sid=SID`, { headers: UPGRADE })];
    yield [about('upgrade, escaped'), { eio3: true }, ask('GET', `?EIO=${eio}&transport=webso%63ket&sid=ESCAPED`, { headers: UPGRADE })];
  }
}

function* targets() {
  const query = '?EIO=4&transport=polling';
  for (const path of ['/engine.io', '/engine.io/', '/engine.io//', '/engine.io/x', '/engine.io/x/y', '/engine.iox', '/engine.i', '/', '//engine.io/',
    '/Engine.io/', '/engine%2eio/', '/engine.io/%', '/engine.io/../engine.io/', 'http://localhost/engine.io/', 'http://elsewhere.test/engine.io/',
    '*', 'engine.io/', '/socket.io', '/socket.io/']) {
    yield [`path ${path}`, {}, (probe) => probe.ask(request('GET', `${path}${query}`))];
    yield [`WebSocket, path ${path}`, {}, (probe) => probe.ask(request('GET', `${path}?EIO=4&transport=websocket`, { headers: UPGRADE }), { watch: true })];
  }
  for (const [what, options] of Object.entries({
    'no Host': { headers: { Host: null } },
    'an empty Host': { headers: { Host: '' } },
    'two Hosts': { headers: { Host: ['a.test', 'b.test'] } },
    'HTTP/1.0': { version: 'HTTP/1.0' },
    'HTTP/1.0 without Host': { version: 'HTTP/1.0', headers: { Host: null } },
    'HTTP/1.2': { version: 'HTTP/1.2' },
    'HTTP/3.0': { version: 'HTTP/3.0' },
    'an origin': { headers: { Origin: 'http://elsewhere.test' } },
    'Connection: close': { headers: { Connection: 'close' } },
    'Expect: 100-continue': { headers: { Expect: '100-continue' } },
    'Expect: something else': { headers: { Expect: 'more' } },
    'a body': { body: 'body' },
    'two lengths': { headers: { 'Content-Length': ['1', '2'] } },
    'a length and chunks': { headers: { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' }, body: '0\r\n\r\n' },
    'a space in a name': { headers: { 'x y': '1' } },
  })) {
    yield [`handshake with ${what}`, {}, (probe) => probe.send('GET', query, options)];
  }
  for (const method of ['get', 'BREW', 'CONNECT', 'TRACE']) yield [`method ${method}`, {}, (probe) => probe.send(method, query)];
}

export const requests = [...handshakes(), ...websockets(), ...sessions(), ...targets()];
