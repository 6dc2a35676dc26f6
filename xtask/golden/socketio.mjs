// Golden vectors of the Socket.IO parser: the encodings of the Node packages, and their decoding of
// hand-written packets. Usage: node socketio.mjs ../../socketio-parser/tests/golden/vectors.json
import { writeFileSync } from "node:fs";

import { Decoder, Encoder, PacketType } from "socket.io-parser";
import { Decoder as Decoder426 } from "socket.io-parser-426";

const bin = (...bytes) => Buffer.from(bytes);
const { CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR } = PacketType;

/** Packets as the encoder takes them. The vectors write binary as {"$bin": "<hex>"}. */
const packets = [
  { type: CONNECT, nsp: "/" },
  { type: CONNECT, nsp: "/", data: { token: "123" } },
  { type: CONNECT, nsp: "/admin", data: { sid: "oSO0OpakMV_3jnilAAAA" } },
  { type: CONNECT, nsp: "/admin" },
  { type: DISCONNECT, nsp: "/" },
  { type: DISCONNECT, nsp: "/admin" },
  { type: CONNECT_ERROR, nsp: "/random", data: { message: "Invalid namespace" } },
  { type: CONNECT_ERROR, nsp: "/", data: { message: "no", data: { code: 7, why: ["a"] } } },
  { type: EVENT, nsp: "/", data: ["hello"] },
  { type: EVENT, nsp: "/", data: ["hello", 1, "2", { 3: [true] }] },
  { type: EVENT, nsp: "/", id: 456, data: ["hello", null, [], {}, [[]], ""] },
  { type: EVENT, nsp: "/admin", data: ["project:delete", 123] },
  { type: EVENT, nsp: "/admin", id: 0, data: ["project:delete", 123] },
  { type: EVENT, nsp: "/adm?x=1", id: 12, data: ["q"] },
  { type: EVENT, nsp: "/", id: Number.MAX_SAFE_INTEGER, data: ["big"] },
  { type: EVENT, nsp: "/", id: 1e20, data: ["rounded"] },
  { type: EVENT, nsp: "/", id: 2 ** 53 + 2, data: ["rounded"] },
  { type: EVENT, nsp: "/", data: ["numbers", 0, -0, 1.0, 1.5, -2.25, 1e20, 1e21, 1e-6, 1e-7, 123456789.125, 0.1, 5e-324, 1.7976931348623157e308, 100, 1e16, 123e-7] },
  { type: EVENT, nsp: "/", data: ["text", "é", "日本", "😀", "\u2028\u2029", "\u007f", "\b\f\n\r\t", "\u0000\u001f", "\"\\/"] },
  { type: EVENT, nsp: "/", data: ["quote\"d \\ é\n", 1] },
  { type: EVENT, nsp: "/", data: ["", 1] },
  { type: EVENT, nsp: "/", data: ["keys", { z: 1, a: 2, "é": 3, "": 4, "q\"": 5 }] },
  { type: EVENT, nsp: "/", data: ["plain", { _placeholder: true, num: 7 }] },
  { type: ACK, nsp: "/", id: 123, data: [] },
  { type: ACK, nsp: "/", id: 456, data: [1, "2", { 3: [false] }] },
  { type: ACK, nsp: "/admin", id: 456, data: [] },
  { type: EVENT, nsp: "/", data: ["file", bin(1, 2, 3)] },
  { type: EVENT, nsp: "/", data: ["file", bin()] },
  { type: EVENT, nsp: "/", id: 789, data: ["file", bin(1), "x", bin(2, 2)] },
  { type: EVENT, nsp: "/admin", id: 7, data: ["deep", { a: [{ b: bin(9) }, [bin(8)]], c: bin(7) }] },
  { type: EVENT, nsp: "/", data: ["ten", ...Array.from({ length: 10 }, (_, i) => bin(i))] },
  { type: ACK, nsp: "/", id: 456, data: [bin(3, 2, 1)] },
  { type: ACK, nsp: "/admin", id: 1, data: [{ a: bin(1) }, bin(2)] },
];

/** Packets that no encoder writes. A number is the count of attachments that follow, of one byte each. */
const handwritten = [
  // Accepted by Node.
  ["0/adm"], ["0/adm,"], ["0"], ["0{}"], ["0 {} "], ["012{}"], ["0/a,b"], ["1"], ["1/adm"], ["1/adm,"], ["2"], ["21"], ["2/adm"], ["2/adm,"],
  ["3"], ["31"], ["3[]"], ["3[1]"], ['2[1,"x"]'], ["2[1.50]"], ["2[-1e2]"], ["2[1e21]"], ['2["\\u0068i",1]'], ['2["a" , 1 , {"b" : [ ] } ]'],
  ['2["error"]'], ['2["connection"]'], ['2["new_namespace"]'], ['4"no"'], ["4{}"], ["4"],
  ['299999999999999999999["a"]'], ['21000000000000000000000["a"]'], ['29007199254740993["a"]'], ['2007["a"]'],
  ['51e0-["a",{"_placeholder":true,"num":0}]', 1], ['5 1-["a",{"_placeholder":true,"num":0}]', 1], ['51.0-["a",{"_placeholder":true,"num":0}]', 1],
  ['51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', 1],
  ['52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]', 2],
  ['51-["a"]', 1], ['51-["a",{"_placeholder":true,"num":0,"x":1}]', 1], ['51-["a",{"num":0,"_placeholder":true}]', 1],
  ['51-["a",{"_placehold\\u0065r":true,"num":0}]', 1], ['51-["a",{"_placeholder":1,"num":9}]', 1], ['51-["a",{"_placeholder":false,"num":9}]', 1],
  ['61-/adm,7[{"_placeholder":true,"num":0}]', 1], ['2["a",{"_placeholder":true,"num":9}]'],
  ['51-["a",{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":0}]', 1],
  // Half a surrogate pair, in every place where text may stand, and numbers beyond what JavaScript can count to.
  ['2["a","\\ud800"]'], ['2["\\ud83d",1]'], ['2["a\\uDE00\\uD83Db"]'], ['2["a",{"\\ud83d":["\\ud83d\\ud83d\\ude00"]}]'], ['31["\\ud83d\\n"]'],
  ['51-["\\ud83d",{"b":{"_placeholder":true,"num":0},"\\udfff":"\\udfff"}]', 1], ['0{"token":"\\ud83d"}'], ['4{"message":"\\ud83d"}'], ['4"\\ud83d"'],
  ['2["a",1e999]'], ['2["a",[-1e400],{"b":1E309}]'], ['31[1e999]'], ['0{"token":1e999}'], ['2["a",123456789012345678901234567890]'],
  // Refused by Node.
  ["abc"], ["7"], ["9"], ["-1"], ["{}"],
  ["2{}"], ['2abc["a"]'], ['2"a"'], ["2[]"], ["2[null]"], ["2[{}]"], ["2[true]"], ["2[["], ['2["a"'], ['2["a",]'], ['2["a"]]'], ['2["a"],'], ["2["],
  ['2["connect"]'], ['2["connect_error"]'], ['2["disconnect"]'], ['2["disconnecting"]'], ['2["newListener"]'], ['2["removeListener"]'], ['2["disc\\u006fnnect"]'],
  ["0[]"], ["0null"], ['0"a"'], ["01.5{}"], ["0{"], ["1{}"], ["1[]"], ["3{}"], ['3"a"'], ["31{}"], ["4[]"], ["41"+"[1]"], ["4null"],
  ['2["a",01]'], ['2["a",+1]'], ['2["a",.5]'], ['2["a",1.]'], ['2["a",NaN]'], ["2['a']"], ['2["a\n"]'], ['2["\\x"]'], ['2["a",tru]'], ['2["a",{"b":1,}]'], ['2["a",{b:1}]'], ['2-1["a"]'],
  ['5["a"]'], ["5"], ["5-"], ['5-["a"]'], ['50-["a"]'], ['5x-["a"]'], ['51.5-["a"]'], ['5-1-["a"]'], ['511-["a"]'], ['5999999999999-["a"]'], ["51"], ['51["a"]'], ['60-1["a"]'], ['51-{"_placeholder":true,"num":0}'],
  ['51-["a",{"_placeholder":true,"num":1}]', 1], ['51-["a",{"_placeholder":true,"num":-1}]', 1], ['51-["a",{"_placeholder":true,"num":"0"}]', 1],
  ['51-["a",{"_placeholder":true}]', 1], ['51-["a",[{"b":{"_placeholder":true,"num":null}}]]', 1], ['61-1[{"_placeholder":true,"num":"splice"}]', 1],
  ['51-["a",{"_placeholder":true,"num":0,"num":1}]', 1],
];

/** Packets that the Rust decoder deliberately decodes differently. The Rust test says how. */
const different = [[""], [" "], ['2 ["a"]'], ['2 1["a"]'], ["51-", 1], ['51-["a",{"_placeholder":true,"num":0.5}]', 1], ['50x1-["a"]', 1], ['2' + "9".repeat(400) + '["a"]']];

const mark = (value) =>
  typeof value === "string" ? value.toWellFormed() // other JSON parsers reject a lone surrogate
  : Buffer.isBuffer(value) ? { $bin: value.toString("hex") }
  : Array.isArray(value) ? value.map(mark)
  : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), mark(item)]))
  : value;

function decode(messages, Implementation = Decoder) {
  const decoder = new Implementation();
  let decoded;
  decoder.on("decoded", (packet) => (decoded = packet));
  try {
    for (const message of messages) decoder.add(message);
  } catch (error) {
    return { error: error.message };
  }
  if (!decoded) return { unfinished: true };
  const { type, nsp, id, data } = decoded;
  return { packet: { type, nsp, id: id === undefined ? null : String(id), data: data === undefined ? null : mark(data), absent: data === undefined } };
}

const onWire = ([text, ...attachments]) => ({ text, attachments: attachments.map((bytes) => bytes.toString("hex")) });
const byHand = ([text, count = 0]) => {
  const messages = [text, ...Array.from({ length: count }, (_, i) => bin(i))];
  return { ...onWire(messages), ...decode(messages), old: decode(messages, Decoder426).error ?? null };
};

const encoder = new Encoder();
const lines = (items) => "[\n" + items.map((item) => "    " + JSON.stringify(item)).join(",\n") + "\n  ]";
const encoded = packets.map((packet) => {
  const messages = encoder.encode(packet);
  return { ...onWire(messages), ...decode(messages) };
});
const all = handwritten.map(byHand);
writeFileSync(process.argv[2], `{
  "encoded": ${lines(encoded)},
  "accepted": ${lines(all.filter((vector) => vector.packet))},
  "rejected": ${lines(all.filter((vector) => vector.error))},
  "different": ${lines(different.map(byHand))}
}\n`);
const lost = all.filter((vector) => !vector.packet && !vector.error);
if (lost.length) console.error("neither accepted nor rejected:", lost);
