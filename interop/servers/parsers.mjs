// Node's parsers for differential fuzzing. Reads inputs from its standard input, each as a byte that selects the parser, four
// bytes of its length, and the input. Answers each with a line of JSON.

import { decodePacket, decodePayload } from 'engine.io-parser';
import { Decoder } from 'socket.io-parser';

const packet = ({ type, data }) => {
  if (type === 'error') return null;
  return Buffer.isBuffer(data) ? { type, hex: data.toString('hex') } : { type, text: data ?? '' };
};

// Other JSON parsers refuse half a surrogate pair.
const mark = (value) => {
  if (typeof value === 'string') return value.toWellFormed();
  if (Buffer.isBuffer(value)) return { $bin: value.toString('hex') };
  if (Array.isArray(value)) return value.map(mark);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), mark(item)]));
};

const PARSERS = {
  e: (input) => packet(decodePacket(input.toString())),
  E: (input) => decodePayload(input.toString()).map(packet),
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
