// Golden vectors of the Engine.IO codec, made with Node's own parsers.
//
//     node engineio.mjs <out.json>
//
// Bytes are hex. A packet is {type, text} or {type, hex}. Each list holds one kind of vector:
//
//   packets              a packet, its form on a message transport, and its form in a text polling body
//   packet_decodes       a message of a message transport and its packet, null if malformed
//   payloads             packets and their polling body
//   payload_decodes      a polling body and its packets, up to the first malformed one
//   webtransport         packets and their stream
//   webtransport_headers the header of a packet, by length
//   webtransport_decodes a stream and its packets, up to the first malformed one
//   handshakes           open packets of a running server

import { createRequire } from "node:module";
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as v4 from "engine.io-parser";
import { Server } from "engine.io";

const require = createRequire(import.meta.url);
// The package does not export its parser for revision 3.
const v3 = require(join(dirname(require.resolve("engine.io")), "parser-v3", "index.js"));

const KINDS = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
const RANGE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const TEXTS = ["", "probe", "4", "b", "2:4a", "bAQID", "\u0000", "\r\n\\n", "é", "€uro", "😀", "a😀é€z", "{\"a\":\"\\u2028\"}", "x".repeat(130)];
const BINARIES = ["", "00", "01", "0102", "010203", "04", "1e", "34", "ff", RANGE.toString("hex")].map((hex) => Buffer.from(hex, "hex"));

const message = (data) => ({ type: "message", data });
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bodyOf = (body) => ({ binary: typeof body !== "string", body: hex(body) });

function describe({ type, data }) {
  return data === undefined || typeof data === "string" ? { type, text: data ?? "" } : { type, hex: hex(data) };
}

// Node leaves the type of a malformed binary packet undefined.
const malformed = ({ type }) => type === undefined || type === "error";

function untilMalformed(packets) {
  const end = packets.findIndex(malformed);
  return { packets: (end < 0 ? packets : packets.slice(0, end)).map(describe), error: end >= 0 };
}

const encode = {
  3: (packet, supportsBinary) => v3.encodePacket(packet, supportsBinary, false, (encoded) => encoded),
  4: (packet, supportsBinary) => {
    let result;
    v4.encodePacket(packet, supportsBinary, (encoded) => (result = encoded));
    return result;
  },
};
const decode = { 3: (message) => v3.decodePacket(message), 4: (message) => v4.decodePacket(message) };

function packets() {
  const all = [
    ...KINDS.map((type) => ({ type })),
    { type: "ping", data: "probe" },
    { type: "pong", data: "probe" },
    ...TEXTS.filter((text) => text !== "").map(message),
    ...BINARIES.map(message),
  ];
  return [3, 4].flatMap((revision) =>
    all.map((packet) => {
      const { binary, body: wire } = bodyOf(encode[revision](packet, true));
      return { revision, packet: describe(packet), binary, wire, polling: hex(encode[revision](packet, false)) };
    }),
  );
}

function packetDecodes() {
  const base64 = ["", "=", "YWJj", "YWI=", "YWI", "YWJ", "YQ", "Y", "YR", "YWJjZ", "-_-_", "+/+/", "Y W\nJj", "YWJj=ZGVm", "YQ==Yg==", "=bad", "Y=Q=", "YQ==!", "YWJj!!ZGVm", "*"];
  const texts = ["", "0", "6", "7", "9", "a", "b", " 4", "-", "é", "😀", "\u0000", "4", "4b", "44", "2probe"];
  return [3, 4].flatMap((revision) => {
    const prefix = revision === 3 ? "b4" : "b";
    const inputs = [
      ...texts,
      ...base64.map((text) => prefix + text),
      ...(revision === 3 ? ["b", "b7AQ==", "bbAQ==", "b2AQ==", "b0"] : []),
      ...["", "00", "04", "0401", "02ff", "07", "34", "ff"].map((bytes) => Buffer.from(bytes, "hex")),
    ];
    return inputs.map((input) => {
      const { binary, body: wire } = bodyOf(input);
      const packet = decode[revision](input);
      return { revision, binary, wire, packet: malformed(packet) ? null : describe(packet) };
    });
  });
}

function payloads() {
  const lists = [
    [],
    [{ type: "noop" }],
    [{ type: "noop" }, { type: "close" }],
    TEXTS.map(message),
    BINARIES.map(message),
    [message("a"), message(Buffer.from([1, 2])), { type: "ping" }, message("😀")],
    [message("x".repeat(100)), message(Buffer.alloc(100, 7)), message("é".repeat(99))],
    [message(Buffer.alloc(0))],
  ];
  const encoders = [
    [4, true, (list, done) => v4.encodePayload(list, done)],
    [3, true, (list, done) => v3.encodePayload(list, false, done)],
    [3, false, (list, done) => v3.encodePayload(list, true, done)],
  ];
  return encoders.flatMap(([revision, b64, encodeList]) =>
    lists.map((list) => {
      let body = "";
      encodeList(list, (encoded) => (body = encoded));
      return { revision, b64, packets: list.map(describe), ...bodyOf(body) };
    }),
  );
}

// Two inputs are omitted because this project rejects them and Node accepts them: a length that
// ends between two surrogates, and a binary body that ends within a packet.
function payloadDecodes() {
  const text4 = ["", "\x1e", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b", "4a\x1e4b", "4a\x1e9\x1e4b", "bAQID\x1e4", "b\x1eb=\x1e4b", "4é\x1e4😀", "hello"];
  const text3 = ["", "0:", "0:0:", "0:1:6", "1:60:1:1", "2:4a", "2:4a2:4b", "02:4a", "2:4a3:4b", "3:4a", "1:4a", ":4a", "2", "2:", "a:4a", "-1:4a", "3:4😀", "2:4é", "4:b4AQ", "1:b", "2:b9", "2:9a", "2:4a1:92:4b", "1:bAQ", "9".repeat(311) + ":4a", "9".repeat(20) + ":4a"];
  const binary3 = ["0001ff34", "0002ff3461", "0102ff0401", "0002ff34610102ff0401", "0003ff34c3a9", "0005ff34f09f9880", "0004ff34eda080", "0007ff34eda0bdedb880", "0001ff39", "0003ff34c3", "0004ff623441510102ff0401", "0102ff0701"];
  const decodeText3 = (body) => {
    const found = [];
    v3.decodePayload(body, (packet) => { found.push(packet); });
    return found;
  };
  return [
    ...text4.map((body) => ({ revision: 4, ...bodyOf(body), ...untilMalformed(v4.decodePayload(body)) })),
    ...text3.map((body) => ({ revision: 3, ...bodyOf(body), ...untilMalformed(decodeText3(body)) })),
    ...binary3.map((bytes) => Buffer.from(bytes, "hex")).map((body) => ({ revision: 3, ...bodyOf(body), ...untilMalformed(decodeText3(body)) })),
  ];
}

async function pipe(stream, chunks) {
  const writer = stream.writable.getWriter();
  const written = (async () => {
    for (const chunk of chunks) await writer.write(chunk);
    await writer.close();
  })();
  const found = [];
  for await (const item of stream.readable) found.push(item);
  await written;
  return found;
}

async function webtransport() {
  const all = [{ type: "ping" }, ...TEXTS.map(message), ...BINARIES.map(message)].filter(({ data }) => data?.length !== 0);
  const vectors = [];
  for (const packet of all) {
    const chunks = await pipe(v4.createPacketEncoderStream(), [packet]);
    vectors.push({ packet: describe(packet), stream: hex(Buffer.concat(chunks)) });
  }
  return vectors;
}

async function webtransportHeaders() {
  const vectors = [];
  for (const len of [1, 125, 126, 127, 255, 256, 65535, 65536, 1000000]) {
    const text = await pipe(v4.createPacketEncoderStream(), [message("x".repeat(len - 1))]);
    const binary = await pipe(v4.createPacketEncoderStream(), [message(Buffer.alloc(len))]);
    vectors.push({ len, binary: false, header: hex(text[0]) }, { len, binary: true, header: hex(binary[0]) });
  }
  return vectors;
}

async function webtransportDecodes() {
  const streams = ["0132", "023461", "02346182ff00", "00", "80", "0139", "0162", "056241514944", "7e0002346181aa", "7f00000000000000023461", "83010203", "7e00c8" + "34".repeat(200), "7e00c9" + "34".repeat(201), "fe00c9", "7f00000000000000c9", "7f0020000000000000", "7fffffffffffffffff", "02346100023462", "0334"];
  const vectors = [];
  for (const stream of streams) {
    const found = await pipe(v4.createPacketDecoderStream(200, "nodebuffer"), [Buffer.from(stream, "hex")]);
    vectors.push({ max_payload: 200, stream, ...untilMalformed(found) });
  }
  return vectors;
}

async function handshakes() {
  const all = [
    {},
    { allowUpgrades: false },
    { pingInterval: 300, pingTimeout: 200, maxHttpBufferSize: 1e8 },
    { maxHttpBufferSize: Infinity },
    { transports: ["polling", "websocket", "webtransport"] },
  ];
  const vectors = [];
  for (const [index, options] of all.entries()) {
    const http = createServer();
    const engine = new Server(options);
    engine.generateId = () => `lv_VI97HAXpY6yYWAA${String(index).padStart(2, "0")}`;
    http.on("request", (req, res) => engine.handleRequest(req, res));
    await new Promise((listening) => http.listen(0, "127.0.0.1", listening));
    const response = await fetch(`http://127.0.0.1:${http.address().port}/?EIO=4&transport=polling`);
    vectors.push({ packet: await response.text() });
    engine.close();
    http.closeAllConnections();
    http.close();
  }
  return vectors;
}

const out = process.argv[2];
if (!out) throw new Error("usage: node engineio.mjs <out.json>");
const lists = {
  packets: packets(),
  packet_decodes: packetDecodes(),
  payloads: payloads(),
  payload_decodes: payloadDecodes(),
  webtransport: await webtransport(),
  webtransport_headers: await webtransportHeaders(),
  webtransport_decodes: await webtransportDecodes(),
  handshakes: await handshakes(),
};
// One vector per line, so that a diff shows each changed vector.
const body = Object.entries(lists).map(([name, vectors]) =>
  `  ${JSON.stringify(name)}: [\n${vectors.map((vector) => `    ${JSON.stringify(vector)}`).join(",\n")}\n  ]`);
writeFileSync(out, `{\n${body.join(",\n")}\n}\n`);
