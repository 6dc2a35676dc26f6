// The time to decode or to encode one small event with Node's parser: `node codecs.mjs decode|encode`.
// Prints one line of JSON: the nanoseconds per event in the fastest of many batches.
import { Decoder, Encoder, PacketType } from "socket.io-parser";

const TIME = 300;
const BATCH = 1000;
const message = { id: 10000000, user: "alice", text: "how are you today?", urgent: false };
const packet = { type: PacketType.EVENT, nsp: "/", data: ["message", message] };
const encoder = new Encoder();
const [text] = encoder.encode(packet);
const decoder = new Decoder();
let decoded;
decoder.on("decoded", (packet) => { decoded = packet; });

const work = { decode: () => decoder.add(text), encode: () => encoder.encode(packet) }[process.argv[2]];
const began = performance.now();
let fastest = Infinity;
while (performance.now() - began < TIME) {
  const batch = process.hrtime.bigint();
  for (let i = 0; i < BATCH; i += 1) work();
  fastest = Math.min(fastest, Number(process.hrtime.bigint() - batch) / BATCH);
}
if (process.argv[2] === "decode" && decoded?.data[1].id !== message.id) throw new Error("not decoded");
console.log(JSON.stringify({ ns: fastest }));
