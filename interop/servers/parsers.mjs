// Node's parsers for differential fuzzing. Reads inputs from its standard input, each as a byte that selects the parser, four
// bytes of its length, and the input. Answers each with a line of JSON.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { decodePacket, decodePayload } from 'engine.io-parser';
import msgpack from 'socket.io-msgpack-parser';
import { Decoder } from 'socket.io-parser';

const require = createRequire(import.meta.url);
// The package does not export its parser for revision 3.
const v3 = require(join(dirname(require.resolve('engine.io')), 'parser-v3', 'index.js'));

const packet = ({ type, data }) => {
  if (type === 'error') return null;
  return Buffer.isBuffer(data) ? { type, hex: data.toString('hex') } : { type, text: data ?? '' };
};

// The packets before the first malformed one, whose type Node leaves undefined if it is binary, and `null` for that one.
const packetsV3 = (body) => {
  const packets = [];
  v3.decodePayload(body, (found) => void packets.push(found));
  const end = packets.findIndex(({ type }) => type === undefined || type === 'error');
  return end < 0 ? packets.map(packet) : [...packets.slice(0, end).map(packet), null];
};

// Other JSON parsers refuse half a surrogate pair.
const mark = (value) => {
  if (typeof value === 'string') return value.toWellFormed();
  if (value instanceof ArrayBuffer) value = Buffer.from(value);
  if (Buffer.isBuffer(value)) return { $bin: value.toString('hex') };
  if (value instanceof Date) return value;
  if (Array.isArray(value)) return value.map(mark);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), mark(item)]));
};

const PARSERS = {
  e: (input) => packet(decodePacket(input.toString())),
  E: (input) => decodePayload(input.toString()).map(packet),
  v: (input) => packetsV3(input.toString()),
  V: packetsV3,
  m: (input) => {
    const decoder = new msgpack.Decoder();
    let decoded;
    decoder.on('decoded', (found) => (decoded = found));
    try {
      decoder.add(input);
    } catch (error) {
      return { error: error.message };
    }
    const { type, nsp, id, data } = decoded;
    return { type, nsp: mark(nsp), id: id ?? null, data: data === undefined ? null : mark(data), absent: data === undefined };
  },
  // The messages of a packet are separated by 0x1e. The first is text.
  s: (input) => {
    const messages = [];
    for (let rest = input, at; rest; rest = at < 0 ? null : rest.subarray(at + 1)) {
      at = rest.indexOf(0x1e);
      messages.push(at < 0 ? rest : rest.subarray(0, at));
    }
    const decoder = new Decoder();
    let decoded;
    decoder.on('decoded', (found) => (decoded ??= found));
    try {
      messages.forEach((message, index) => decoded || decoder.add(index === 0 ? message.toString() : message));
    } catch (error) {
      return { error: error.message };
    }
    if (!decoded) return { unfinished: true };
    const { type, nsp, id, data } = decoded;
    if (type === 2 && typeof data?.[0] === 'number') data[0] = String(data[0]);
    return { type, nsp, id: id === undefined ? null : String(id), data: data === undefined ? null : mark(data), absent: data === undefined };
  },
};

let buffer = Buffer.alloc(0);
process.stdin.on('data', (chunk) => {
  buffer = Buffer.concat([buffer, chunk]);
  let lines = '';
  while (buffer.length >= 5 && buffer.length >= 5 + buffer.readUInt32BE(1)) {
    const end = 5 + buffer.readUInt32BE(1);
    lines += `${JSON.stringify(PARSERS[String.fromCharCode(buffer[0])](buffer.subarray(5, end)))}\n`;
    buffer = buffer.subarray(end);
  }
  process.stdout.write(lines);
});
