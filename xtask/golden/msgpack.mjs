// Golden vectors of the msgpack parser: the encodings of socket.io-msgpack-parser, with Node's build and
// with the browser's, and its decoding of hand-written messages.
// Usage: node msgpack.mjs ../../socketio-parser/tests/golden/msgpack.json
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";

import parser from "socket.io-msgpack-parser";

const require = createRequire(import.meta.url);
const browser = require("notepack.io/browser/encode.js");
const { CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR } = parser.PacketType;
const bin = (...bytes) => Buffer.from(bytes);
const text = (length) => "x".repeat(length);
const list = (length) => Array.from({ length }, (_, index) => index);

/** Packets as Node's server creates them. The Rust encoder must produce the same bytes. */
const server = [
  { type: CONNECT, data: { sid: "oSO0OpakMV_3jnilAAAA" }, nsp: "/" },
  { type: DISCONNECT, nsp: "/admin" },
  { type: CONNECT_ERROR, data: { message: "Invalid namespace" }, nsp: "/random" },
  { type: CONNECT_ERROR, data: { message: "no", data: { code: 7, why: ["a"] } }, nsp: "/" },
  { type: EVENT, data: ["hello"], nsp: "/" },
  { type: EVENT, data: ["hello", 1, "2", { 3: [true, false] }, null], nsp: "/" },
  { type: EVENT, data: ["ack", [], {}, [[]], ""], id: 456, nsp: "/admin" },
  { type: EVENT, data: ["ack"], id: 0, nsp: "/" },
  { type: EVENT, data: ["ack"], id: 2 ** 40, nsp: "/" },
  { type: EVENT, data: ["text", "é", "日本", "😀", "\u0000\u001f\"\\", text(31), text(32), text(255), text(256)], nsp: "/" },
  { type: EVENT, data: ["numbers", 0, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53, -1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53)], nsp: "/" },
  { type: EVENT, data: ["fractions", 1.5, -2.25, 0.1, 5e-324, 123456789.125], nsp: "/" },
  { type: EVENT, data: ["lists", list(15), list(16), list(300)], nsp: "/" },
  { type: EVENT, data: ["keys", { z: 1, a: 2, "é": 3, "": 4, 'q"': 5 }, Object.fromEntries(list(20).map((n) => ["k" + n, n]))], nsp: "/" },
  { type: EVENT, data: ["binary", bin(), bin(1, 2, 3), { deep: [{ a: bin(9) }] }, Buffer.alloc(255, 1), Buffer.alloc(256, 2)], nsp: "/" },
  { type: EVENT, data: ["plain", { _placeholder: true, num: 7 }], nsp: "/" },
  { id: 123, type: ACK, data: [], nsp: "/" },
  { id: 456, type: ACK, data: [1, bin(3, 2, 1), { 3: [false] }], nsp: "/admin" },
];

/** Packets as clients create them, with additional keys and with values that JSON lacks. */
const client = [
  { type: CONNECT, data: undefined, nsp: "/" },
  { type: CONNECT, nsp: "/" },
  { type: CONNECT, data: { token: "123", none: undefined }, nsp: "/admin" },
  { type: DISCONNECT, nsp: "/" },
  { type: EVENT, data: ["say", undefined, { a: undefined, b: 1 }], options: { compress: true }, nsp: "/" },
  { type: EVENT, data: ["say", "with ack"], options: { compress: false, volatile: undefined }, id: 7, nsp: "/" },
  { type: EVENT, data: ["say"], options: {}, id: undefined, nsp: "/" },
  { type: EVENT, data: [12, "named by a number"], options: {}, nsp: "/" },
  { type: EVENT, data: ["dates", new Date(1500), new Date(-1), new Date("2026-02-28T12:34:56.789Z")], options: {}, nsp: "/" },
  { type: EVENT, data: ["numbers", NaN, Infinity, -0, 2 ** 53 + 2], options: {}, nsp: "/" },
  { type: EVENT, data: ["buffers", new Uint8Array([1, 2]).buffer, new ArrayBuffer(0)], options: {}, nsp: "/" },
  { type: ACK, data: [bin(1)], id: 3, nsp: "/" },
];

const hex = (bytes) => Buffer.from(bytes).toString("hex");

/** The JSON form of a value. Binary is {"$bin": "<hex>"} and dates are text. NaN and undefined become null or are omitted. */
const mark = (value) =>
  value instanceof ArrayBuffer || Buffer.isBuffer(value) ? { $bin: hex(value) }
  : value instanceof Date ? value
  : Array.isArray(value) ? value.map(mark)
  : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mark(item)]))
  : value;

function decode(bytes) {
  const decoder = new parser.Decoder();
  let decoded;
  decoder.on("decoded", (packet) => (decoded = packet));
  try {
    decoder.add(bytes);
  } catch (error) {
    return { error: error.message };
  }
  const { type, nsp, id, data } = decoded;
  return { packet: { type, nsp, id: id ?? null, data: mark(data) ?? null, absent: data === undefined } };
}

const node = (packet) => new parser.Encoder().encode(packet)[0];
const vector = (bytes) => ({ wire: hex(bytes), ...decode(Buffer.from(bytes)) });
// The browser's build uses other classes for binary.
const inBrowser = (value) =>
  Buffer.isBuffer(value) ? new Uint8Array(value).buffer
  : value instanceof ArrayBuffer || value instanceof Date || !value || typeof value !== "object" ? value
  : Array.isArray(value) ? value.map(inBrowser)
  : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inBrowser(item)]));

const head = "83a474797065"; // { type:
const rest = "a36e7370a12fa464617461"; // nsp: "/", data:
/** Messages that no encoder writes. */
const handwritten = [
  // Accepted by Node.
  head + "02" + rest + "91a161", head + "cb4000000000000000" + rest + "91a161", head + "cd0002" + rest + "dc0001d90161",
  head + "02" + rest + "92a161c70205aabb", head + "02" + rest + "92a161d5ffaabb", head + "02" + rest + "92a16181a162ca3fc00000",
  head + "02" + rest + "92a161d7ff7735940000000001", "84a474797065" + "02" + rest + "91a161" + "a16ac0", head + "00" + rest + "d40000",
  // Bytes that are not UTF-8 (the first of a character; half a surrogate pair) and infinity.
  head + "02" + rest + "92a161a1ff", head + "02" + rest + "91a3eda0bd", head + "02" + rest + "92a16181a3eda0bda2c328", head + "02" + rest + "92a161cb7ff0000000000000",
  // Refused by Node.
  "", "c0", "c1", "80", "90", "a161", "83", head, head + "02", head + "02" + rest, head + "02" + rest + "91",
  head + "02" + rest + "91a161" + "00", head + "05" + rest + "91a161", head + "ff" + rest + "91a161", head + "a132" + rest + "91a161",
  head + "cb4000800000000000" + rest + "91a161", head + "02" + rest + "a161", head + "02" + rest + "80", head + "02" + rest + "c0",
  head + "00" + rest + "90", head + "00" + rest + "c0", head + "01" + rest + "c0", head + "01" + rest + "80", head + "04" + rest + "90",
  head + "04" + rest + "c0", head + "04" + rest + "d40000", head + "03" + rest + "c0",
  "84a474797065" + "02" + rest + "91a161" + "a26964" + "c0", "84a474797065" + "02" + rest + "91a161" + "a26964" + "a131",
  "84a474797065" + "02" + rest + "91a161" + "a26964" + "cb3ff8000000000000", "82a47479706502a46461746191a161",
  "83a47479706502a36e7370c0a46461746191a161", "83a47479706502a36e737001a46461746191a161",
].map((wire) => Buffer.from(wire, "hex"));

const lines = (items) => "[\n" + items.map((item) => "    " + JSON.stringify(item)).join(",\n") + "\n  ]";
const all = handwritten.map(vector);
writeFileSync(process.argv[2], `{
  "server": ${lines(server.map((packet) => vector(node(packet))))},
  "client": ${lines(client.map((packet) => vector(node(packet))))},
  "browser": ${lines([...server, ...client].map((packet) => vector(browser(inBrowser(packet)))))},
  "accepted": ${lines(all.filter((vector) => vector.packet))},
  "rejected": ${lines(all.filter((vector) => vector.error))}
}\n`);
