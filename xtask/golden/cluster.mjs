// Golden vectors of the messages between nodes, as Node's own adapters and emitters publish them.
// Fake clients for Redis and PostgreSQL capture them.
// Usage: node cluster.mjs ../../adapters/core/tests/golden/cluster.json
import crypto from "node:crypto";
import { EventEmitter } from "node:events";
import { writeFileSync } from "node:fs";

import { createAdapter as createPostgres } from "@socket.io/postgres-adapter";
import { Emitter as PostgresEmitter } from "@socket.io/postgres-emitter";
import { createAdapter as createClassic, createShardedAdapter } from "@socket.io/redis-adapter";
import { Emitter as RedisEmitter } from "@socket.io/redis-emitter";
import { createAdapter as createStreams } from "@socket.io/redis-streams-adapter";
import { Server } from "socket.io";

// Random ids of nodes and requests would change the vectors. Here they are consecutive numbers.
let random = 0;
crypto.randomBytes = (size) => Buffer.alloc(size, (random += 1));

const bin = (...bytes) => Buffer.from(bytes);
const NONE = () => {};
const ASKER = "f".repeat(16);
const REQUEST = "e".repeat(16);

/** The operations of a server, by name. The Rust tests use the same names. */
const operations = {
  emit: (io) => io.emit("hello", 1, "a", null, undefined, 1.5),
  "emit in a namespace": (io) => io.of("/admin").emit("hello"),
  "emit to rooms": (io) => io.to(["r1", "r2"]).except("r3").emit("x", { a: [1, -1, 300, 0.25, "é"] }),
  "emit to one room": (io) => io.to("r1").emit("x"),
  "emit to a socket": (io) => io.to("aaaaaaaaaaaaaaaaaaaa").emit("x"),
  "emit with flags": (io) => io.volatile.compress(false).to("r1").emit("x", true),
  "emit binary": (io) => io.emit("b", bin(1, 2)),
  "emit deep binary": (io) => io.to("r1").emit("b", { list: [bin(), { b: bin(255) }], text: "t", n: 70000 }),
  "emit with ack": (io) => io.timeout(1500).to("r1").emit("q", 1, NONE),
  "emit binary with ack": (io) => io.timeout(1500).emit("q", bin(1), NONE),
  join: (io) => io.in("r1").socketsJoin(["a", "b"]),
  leave: (io) => io.except("r2").socketsLeave("a"),
  disconnect: (io) => io.in("r1").disconnectSockets(true),
  "disconnect from the namespace": (io) => io.disconnectSockets(),
  fetch: (io) => void io.in("r1").fetchSockets().catch(NONE),
  "server side emit": (io) => io.serverSideEmit("ev", 1, { a: 2 }),
  "server side emit binary": (io) => io.serverSideEmit("ev", bin(1, 2, 3)),
  "server side emit with ack": (io) => io.serverSideEmit("ev", "x", NONE),
};

/** Requests from another server, for the vectors of the answers. */
const opts = { rooms: [], except: [], flags: {} };
const requests = {
  "fetched sockets": { type: 7, data: { opts, requestId: REQUEST } },
  "server side answer": { type: 9, data: { packet: ["question", 1], requestId: REQUEST } },
  "server side binary answer": { type: 9, data: { packet: ["question", 2], requestId: REQUEST } },
  "count and answers": {
    type: 3,
    data: { packet: { type: 2, data: ["q"] }, opts: { ...opts, flags: { timeout: 1000 } }, requestId: REQUEST },
  },
};
const [INITIAL_HEARTBEAT, HEARTBEAT] = [1, 2];

/** A socket that answers each ack request at once, first with text, then with binary. */
function socket(id, data) {
  const answers = ["yes", bin(1, 2)];
  const acks = new Map();
  return {
    id,
    data,
    acks,
    rooms: new Set([id, "r1"]),
    handshake: { headers: { host: "x" }, time: "Thu Jan 01 1970 00:00:00 GMT+0000", issued: 1, query: { EIO: "4" }, auth: {}, secure: false },
    join: NONE,
    leave: NONE,
    disconnect: NONE,
    notifyOutgoingListeners: NONE,
    client: { writeToEngine: () => setImmediate(() => [...acks.values()].forEach((ack) => answers.forEach((it) => ack(it)))) },
  };
}

const vectors = [];
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

/** Runs all operations with one adapter. `record` turns a published message into the fields of a vector. */
async function capture(adapter, create, record) {
  random = 0;
  const published = [];
  const io = new Server();
  io.adapter(create((it) => published.push(it)));
  const main = io.of("/");
  const admin = io.of("/admin");
  main.on("question", (n, answer) => answer(n === 1 ? "answer" : bin(9)));
  const take = (name) => {
    for (const it of published.splice(0)) vectors.push({ adapter, name, ...record(it) });
  };
  await settled();
  take("initial heartbeat");
  // Without a peer, the adapter would send no requests.
  if (create.heartbeats) main.adapter.onMessage({ uid: ASKER, nsp: "/", type: HEARTBEAT });
  for (const [name, run] of Object.entries(operations)) {
    run(io);
    await settled();
    take(name);
  }
  for (const [id, data] of [["aaaaaaaaaaaaaaaaaaaa", { user: [1, null] }], ["bbbbbbbbbbbbbbbbbbbb", { blob: bin(3) }]]) {
    main.sockets.set(id, socket(id, data));
    main.adapter.addAll(id, new Set([id, "r1"]));
  }
  for (const [name, message] of Object.entries(requests)) {
    if (create.ask) create.ask(main.adapter, message);
    else main.adapter.onMessage({ uid: ASKER, nsp: "/", ...structuredClone(message) });
    await settled();
    take(name);
  }
  if (create.heartbeats) {
    main.adapter.onMessage({ uid: ASKER, nsp: "/", type: INITIAL_HEARTBEAT });
    await settled();
    take("heartbeat");
    main.adapter.close();
    await settled();
    take("adapter close");
  }
  admin.adapter.close();
  main.adapter.close();
}

const hex = (data) => Buffer.from(data).toString("hex");
const wire = (data) => (typeof data === "string" ? { text: data } : { hex: hex(data) });

/** A fake client of the package `redis`. */
class Redis extends EventEmitter {
  constructor(publish) {
    super();
    this.publishes = publish;
    for (const name of ["connect", "pSubscribe", "pUnsubscribe", "unsubscribe", "sSubscribe", "sUnsubscribe", "subscribe", "disconnect"]) this[name] = async () => {};
  }

  duplicate() {
    return new Redis(NONE);
  }

  async publish(channel, data) {
    this.publishes({ channel, data });
  }

  async sPublish(channel, data) {
    this.publishes({ channel, data });
  }

  async xAdd(stream, id, fields) {
    this.publishes({ stream, fields });
    return "1-0";
  }

  xRead() {
    return new Promise(NONE);
  }

  async sendCommand() {
    // The number of subscribers: two servers.
    return ["", "2"];
  }
}

/** A fake pool of the package `pg`. */
class Pool extends EventEmitter {
  constructor(publish) {
    super();
    this.publish = publish;
  }

  async connect() {
    return Object.assign(new EventEmitter(), { query: async () => {}, release: NONE });
  }

  async query(text, values = []) {
    if (text.startsWith("SELECT pg_notify")) this.publish({ channel: values[0], data: values[1] });
    if (text.startsWith("INSERT")) this.publish({ attachment: values[0] });
    return { rows: [{ id: "7" }] };
  }
}

function sharded(publish) {
  const client = new Redis(publish);
  return createShardedAdapter(client, client);
}

function classic(publish) {
  const client = new Redis(publish);
  return createClassic(client, client);
}
/** Sends a request in the format of the classic adapter, which has its own type numbers and fields. */
classic.ask = (adapter, { type, data: { packet, opts, requestId } }) => {
  const request = { uid: "asker1", requestId };
  if (type === 7) Object.assign(request, { type: 5, opts: { rooms: [], except: [] } });
  if (type === 9) Object.assign(request, { type: 6, data: packet });
  if (type === 3) Object.assign(request, { type: 7, packet: { ...packet, nsp: "/" }, opts });
  adapter.onrequest(Buffer.from(adapter.requestChannel), Buffer.from(JSON.stringify(request)));
};

const streams = (publish) => createStreams(new Redis(publish));

function postgres(publish) {
  return createPostgres(new Pool(publish));
}
postgres.heartbeats = true;

const published = ({ channel, stream, fields, data, attachment }) => {
  if (fields) return { stream, fields };
  if (attachment) return { attachment: hex(attachment) };
  return { channel, ...wire(data) };
};

await capture("sharded", sharded, published);
await capture("streams", streams, published);
await capture("postgres", postgres, published);
await capture("classic", classic, published);

// Emitters in programs without a server.
const emitted = [];
const emit = (it) => emitted.push(it);
const emitters = [
  ["postgres-emitter", new PostgresEmitter(new Pool(emit))],
  ["redis-emitter", new RedisEmitter(new Redis(emit))],
];
const simple = ["emit", "emit to rooms", "emit to one room", "emit with flags", "emit binary", "join", "leave", "disconnect", "server side emit"];
for (const [adapter, emitter] of emitters) {
  for (const name of simple) {
    // Emitters lack some methods of a server, such as `in`.
    operations[name](Object.assign(Object.create(emitter), { in: (room) => emitter.to(room), of: (nsp) => emitter.of(nsp) }));
    await settled();
    for (const it of emitted.splice(0)) vectors.push({ adapter, name, ...published(it) });
  }
}

writeFileSync(process.argv[2], `[\n${vectors.map((it) => JSON.stringify(it)).join(",\n")}\n]\n`);
process.exit(0);
