// Requests that differ in their contents: bodies of POSTs, frames of WebSockets and of probes, and packets of Socket.IO.

import { frame, request } from './wire.mjs';

/** The limit of both servers in the differential test. */
export const MAX_PAYLOAD = 1000;
const SEPARATOR = '\x1e';

/** Bodies of revision 4. */
const BODIES = ['4a', '4', '4a\x1e4b', '4a\x1e', '\x1e4a', '4a\x1e\x1e4b', '', '\x1e', '0', '1', '1\x1e4a', '4a\x1e1', '2', '2probe', '3', '3probe', '5', '5x',
  '6', '6x', '7', '8', 'a', '44a', '-1', ' 4a', '4\n', 'bAQID', 'b', 'bA', 'b!!', 'bAQ', 'bAQ==', '4\ud83d\ude00', '4\0', '41', 'null', '{}', '2:4a', 'o',
  'constructor', '4a'.padEnd(MAX_PAYLOAD, 'x')];

/** Bodies of revision 3. */
const FRAMED = ['2:4a', '2:4a2:4b', '', '0:', '1:4', '1:0', '1:1', '1:12:4a', '2:4a1:1', '1:2', '6:2probe', '1:3', '1:5', '1:6', '1:7', '4a', ':4a', '3:4a', '1:4a',
  'x:4a', '2:4', '-1:4', '02:4a', '+2:4a', ' 2:4a', '2.0:4a', '1e0:4', '2:4a:', '2', '2:', '3:4\u00e9\u00e9', '3:4\ud83d\ude00', '6:b4AQID', '10:b4AQIDBA==', '2:b4', '2:b!',
  '3:b4!', '1:b', '99999999999999999999:4a'];

const TYPES = ['text/plain', 'text/plain;charset=UTF-8', 'application/octet-stream', 'Application/Octet-Stream', 'application/octet-stream; x=1',
  'application/x-www-form-urlencoded', 'application/json', ''];

/** Frames on a WebSocket, each after its open packet; then `4alive`. */
const FRAMES = {
  '4a': ['4a'], '4 alone': ['4'], 0: ['0'], 1: ['1'], '1x': ['1x'], 2: ['2'], '2x': ['2x'], '2probe': ['2probe'], 3: ['3'], '3probe': ['3probe'], 5: ['5'], 6: ['6'], '6x': ['6x'],
  7: ['7'], empty: [''], x: ['x'], space: [' '], 'two in one': [`4a${SEPARATOR}4b`], b: ['bAQID'], 'b alone': ['b'],
  binary: [frame([1, 2, 3], 0x82)], 'empty binary': [frame([], 0x82)], 'binary 4': [frame([4, 1], 0x82)], 'binary 2': [frame([2], 0x82)], 'binary 1': [frame([1], 0x82)],
  'a ping of WebSocket': [frame('hi', 0x89)], 'a pong of WebSocket': [frame('hi', 0x8a)],
  'close without a code': [frame('', 0x88)], 'close 1000': [frame([3, 232], 0x88)], 'close 1001': [frame([3, 233], 0x88)], 'close 4000': [frame([15, 160], 0x88)],
  'close 1005': [frame([3, 237], 0x88)], 'close 999': [frame([3, 231], 0x88)], 'close of one byte': [frame([3], 0x88)], 'close with bad text': [frame([3, 232, 255], 0x88)],
  'not masked': [frame('4a', 0x81, { masked: false })], 'a reserved bit': [frame('4a', 0xc1)], 'another reserved bit': [frame('4a', 0x91)],
  'opcode 3': [frame('4a', 0x83)], 'opcode 11': [frame('4a', 0x8b)], 'a continuation of nothing': [frame('4a', 0x80)],
  'in two pieces': [frame('4a', 0x01), frame('b', 0x80)], 'a ping between pieces': [frame('4a', 0x01), frame('x', 0x89), frame('b', 0x80)],
  'text between pieces': [frame('4a', 0x01), frame('4b', 0x81)], 'a long ping': [frame('x'.repeat(126), 0x89)], 'a ping in pieces': [frame('x', 0x09)],
  'bad UTF-8': [frame([0x34, 0xff])], 'UTF-8 cut in pieces': [frame([0x34, 0xc3], 0x01), frame([0xa9], 0x80)], 'UTF-8 that ends early': [frame([0x34, 0xc3])],
  'as large as may be': ['4'.padEnd(MAX_PAYLOAD, 'x')], 'too large': ['4'.padEnd(MAX_PAYLOAD + 1, 'x')],
  'announced too large': [frame('4a', 0x81, { length: 1e9 })], 'too large in pieces': [frame('4'.padEnd(600, 'x'), 0x01), frame('x'.repeat(600), 0x80)],
  'a length in more bytes than it needs': [Buffer.from([0x81, 0xfe, 0, 2, 1, 2, 3, 4, 0x34 ^ 1, 0x61 ^ 2])],
};

/** Frames on the WebSocket of an upgrade. */
const PROBES = { '2probe': ['2probe'], 2: ['2'], '2x': ['2x'], 5: ['5'], '5 at last': ['2probe', '5'], '2probe twice': ['2probe', '2probe', '5'], 3: ['3'], 1: ['1'], 0: ['0'], '4a': ['4a'],
  '4a after the probe': ['2probe', '4a'], 6: ['6'], x: ['x'], empty: [''], binary: [frame([1], 0x82)], close: [frame([3, 232], 0x88)], 'after it': ['2probe', '5', '5'], '2 after it': ['2probe', '5', '2probe'] };

/** Packets of Socket.IO, over a WebSocket. */
const PACKETS = {
  4: [['40'], ['40{}'], ['40{"token":1}'], ['40', '40'], ['40/custom,'], ['40/custom'], ['40/random,'], ['40/random,{}'], ['40[]'], ['401'], ['40"x"'], ['40null'], ['40{'],
    ['42["message",1]'], ['40', '42["message",1]'], ['40', '421["message-with-ack",1]'], ['40', '42[1]'], ['40', '42[]'], ['40', '42{}'], ['40', '42'], ['40', '42["connect"]'],
    ['40', '42["disconnect"]'], ['40', '42["error"]'], ['40', '43[1]'], ['40', '431[1]'], ['40', '41'], ['40', '41', '42["message",1]'], ['40', '41', '40'], ['40', '44{}'], ['40', '4'],
    ['40', '47'], ['40', '4x'], ['40', '45'], ['40', '450-["message"]'], ['40', '451-["message",{"_placeholder":true,"num":0}]', frame([1], 0x82)],
    ['40', '451-["message",{"_placeholder":true,"num":1}]', frame([1], 0x82)], ['40', '451-["message",{"_placeholder":true,"num":0}]', '42["message",1]'], ['40', frame([1], 0x82)],
    ['40', '42/custom,["message",1]'], ['40', '42/random,["message",1]'], ['40/custom,', '42/custom,["message",1]'], ['40', '42["message",1'], ['40', '42["message",null]'],
    ['40/custom?x=1,'], ['40custom'], ['40/'], ['40/,'], ['40', '42["message","\\ud83d"]'], ['40', '4111111111111111111111111["message"]'], ['41'], ['41/custom,'], ['43'], ['44'], ['46']],
  3: [[], ['40'], ['40/'], ['40/,'], ['40/random,'], ['40/random'], ['40/custom,'], ['40/custom'], ['40/custom?token=1,'], ['40/custom', '42/custom,["message",1]'], ['42["message",1]'],
    ['421["message-with-ack",1]'], ['41'], ['41', '42["message",1]'], ['41', '40'], ['41/custom,'], ['42/random,["message",1]'], ['2', '42["message",1]'], ['44'], ['4'], ['47'], ['4x'],
    ['42[]'], ['42[1]'], ['40/custom', '40/custom'], ['40/random', '40/random']],
};

const query = (eio, sid) => `?EIO=${eio}&transport=polling&sid=${sid}`;

function* bodies() {
  for (const [eio, all] of [[4, BODIES], [3, FRAMED]]) for (const body of all) {
    yield [`revision ${eio}, body ${JSON.stringify(body).slice(0, 40)}`, { eio3: true }, async (probe) => {
      const { sid, wire } = await probe.state('waiting', eio);
      const answer = await probe.send('POST', query(eio, sid), { body });
      return { answer, waiting: await probe.answer(wire), fate: await probe.fate(sid, eio) };
    }];
  }
  for (const eio of [4, 3]) for (const type of TYPES) {
    yield [`revision ${eio}, content type ${type}`, { eio3: true }, async (probe) => {
      const { sid, wire } = await probe.state('waiting', eio);
      const binary = eio === 3 && /^application.octet-stream$/.test(type);
      const body = eio === 4 ? '4a' : binary ? Buffer.from([0, 2, 255, 52, 97]) : '2:4a';
      const answer = await probe.send('POST', query(eio, sid), { body, headers: { 'Content-Type': type } });
      return { answer, waiting: await probe.answer(wire), fate: await probe.fate(sid, eio) };
    }];
  }
}

/** Bodies that are too large or incomplete. The client is still writing when the server responds. */
function* sizes() {
  const large = 'x'.repeat(MAX_PAYLOAD);
  for (const eio of [4, 3]) for (const [what, headers, parts] of [
    ['by its length', { 'Content-Length': MAX_PAYLOAD + 1 }, [`4${large}`]],
    ['by its length, not sent', { 'Content-Length': MAX_PAYLOAD + 1 }, ['4']],
    ['in chunks', { 'Transfer-Encoding': 'chunked' }, [`3e9\r\n4${large}\r\n`, '0\r\n\r\n']],
    ['while it is written', { 'Content-Length': 5_000_000 }, Array(50).fill('4'.repeat(100_000))],
  ]) for (const state of ['polling', 'waiting']) {
    yield [`revision ${eio}, ${state}: too large ${what}`, { eio3: true }, async (probe) => {
      const { sid, wire } = await probe.state(state, eio);
      const post = await probe.wire();
      post.write(request('POST', `${probe.path}${query(eio, sid)}`, { headers }));
      for (const part of parts) post.write(part);
      const { status } = (await post.response(probe.quiet)) ?? { status: post.ended ?? 'waits' };
      const waiting = wire && (await probe.answer(wire));
      return { status, waiting, fate: await probe.fate(sid, eio) };
    }];
  }
  for (const state of ['polling', 'waiting']) {
    yield [`${state}: a body that does not come`, { patience: true }, async (probe) => {
      const { sid, wire } = await probe.state(state);
      const post = await probe.wire();
      post.write(request('POST', `${probe.path}${query(4, sid)}`, { headers: { 'Content-Length': 10 }, body: '4a' }));
      const { status } = (await post.response(20_000)) ?? { status: post.ended ?? 'waits' };
      return { status, waiting: wire && (await probe.answer(wire)), fate: await probe.fate(sid) };
    }];
  }
}

function* frames() {
  for (const eio of [4, 3]) for (const [what, sent] of Object.entries(FRAMES)) {
    yield [`revision ${eio}, frame ${what}`, { eio3: true }, async (probe) => {
      const { sid, wire } = await probe.state('websocket', eio);
      const seen = await probe.tell(wire, [...sent, '4alive']);
      // After a close frame the session may end at once, or together with the connection.
      return 'end' in seen ? { seen, fate: await probe.fate(sid, eio) } : { seen };
    }];
  }
  for (const eio of [4, 3]) for (const [what, sent] of Object.entries(PROBES)) {
    yield [`revision ${eio}, probe ${what}`, { eio3: true }, async (probe) => {
      const { sid, wire } = await probe.state('waiting', eio);
      const websocket = await probe.websocket(eio, sid);
      const seen = await probe.tellSlowly(websocket, [...sent, '4alive']);
      return { seen, waiting: await probe.answer(wire), fate: await probe.fate(sid, eio) };
    }];
  }
}

function* packets() {
  for (const eio of [4, 3]) for (const sent of PACKETS[eio]) {
    const what = sent.map((each) => (typeof each === 'string' ? each : 'binary')).join(' ');
    yield [`revision ${eio}, Socket.IO ${what}`, { eio3: true, path: '/socket.io/' }, async (probe) => {
      const wire = await probe.websocket(eio);
      const greeting = await wire.frames(probe.quiet);
      return [greeting.length, ...(await probe.tellSlowly(wire, sent))];
    }];
    if (sent.some((each) => typeof each !== 'string')) continue;
    yield [`revision ${eio}, Socket.IO over polling: ${what}`, { eio3: true, path: '/socket.io/' }, async (probe) => {
      const sid = await probe.open(eio);
      const seen = [];
      for (const each of sent) {
        const body = eio === 3 ? `${each.length}:${each}` : each;
        const post = await probe.send('POST', query(eio, sid), { body });
        seen.push([post, await probe.send('GET', query(eio, sid))]);
        if (seen.at(-1)[1].nothing) break;
      }
      return seen;
    }];
  }
}

export const contents = [...bodies(), ...sizes(), ...frames(), ...packets()];
