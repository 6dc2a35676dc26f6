// Malformed messages that other programs might publish on the bus. None of them may have an effect.

import { connect } from 'node:net';

import { encode } from 'notepack.io';
import { MongoClient } from 'mongodb';
import pg from 'pg';
import { createClient } from 'redis';

const text = (value) => Buffer.from(JSON.stringify(value));
const nested = (open, depth, close) => Buffer.from(open.repeat(depth) + close.repeat(depth));
const data = (more) => ({ packet: { type: 2, data: ['nonsense'] }, opts: { rooms: ['nobody'], except: [], flags: {} }, ...more });
const message = (type, value, more = {}) => ({ type, data: value, uid: 'feedfeedfeedfeed', nsp: '/', ...more });

/** Malformed cluster messages, sent as JSON and as msgpack. */
const MESSAGES = [
  null, 0, '', [], {}, true, 'text',
  message(3), message(3, null), message(3, []), message(3, 'x'), message(3, {}), message(3, { packet: 7, opts: 7 }),
  message(3, data({ packet: { type: 2, data: [] } })), message(3, data({ packet: { type: 'x', data: {} } })),
  message(3, data({ opts: null })), message(3, data({ opts: { rooms: 'nobody', except: 5, flags: [] } })),
  message(3, data({ opts: { rooms: [null, {}, 5], except: [[]], flags: { timeout: -1, volatile: 'x' } } })),
  message(3, data(), { nsp: 5 }), message(3, data(), { uid: null }), message(3, data(), { nsp: '/nowhere' }),
  message(3, data({ requestId: 5 })), message(3, data({ requestId: 'x'.repeat(100_000) })),
  message(4, {}), message(4, { opts: {}, rooms: 'x' }), message(5, { opts: {}, rooms: [5] }), message(6, { opts: 5 }),
  message(7, {}), message(7, { requestId: {} }), message(9, { packet: [] }), message(9, { packet: 'x', requestId: 1 }),
  ...[8, 10, 11, 12].flatMap((type) => [
    message(type), message(type, {}), message(type, { requestId: 'unknown' }),
    message(type, { requestId: 'unknown', sockets: 5, packet: {}, clientCount: -1 }),
    message(type, { requestId: 'unknown', clientCount: 1e18 }),
  ]),
  message(13, undefined, { uid: '' }), message(0), message(14), message(-1), message(1e18), message('3', data()), message(2.5, data()),
];

/** Bytes that decode as no message. */
const BYTES = [
  Buffer.alloc(0), Buffer.from([0xc1]), Buffer.from('{'), Buffer.from('{"type":3'), Buffer.from([0x84, 0xa4]), Buffer.from('\0\0\0'),
  // Wrong lengths of an array, a map, a text, bytes and an extension.
  ...['ddffffffff', 'dfffffffff', 'dbffffffff', 'c6ffffffff', 'c9ffffffff00'].map((hex) => Buffer.from(hex, 'hex')),
  nested('[', 200_000, ']'), nested('{"a":', 100_000, '}'), Buffer.alloc(200_000, 0x91), Buffer.alloc(200_000, 0x81),
  Buffer.from([0xff, 0xfe, 0x7b]), text({ type: 3, nsp: '/', uid: 'x', data: 'x'.repeat(1_000_000) }),
];

/** Publishes all malformed messages on the channels of an adapter. */
export async function nonsense(adapter, url, prefix) {
  await SENDERS[adapter](url, prefix);
}

const SENDERS = {
  async redis(url, prefix) {
    const classic = [
      ...MESSAGES.map((value) => encode(value ?? null)),
      ...[['x'], ['x', {}], ['x', { type: 2, data: 5, nsp: '/' }, {}], [5, {}, {}], ['x', { type: 2, data: ['n'], nsp: '/' }, 5]].map(encode),
      ...MESSAGES.map(text),
    ];
    const channels = ['#/#', '#/#room#', '-request#/#', '-response#/#', '#/#x', '#/'].map((end) => `${prefix}${end}`);
    const requests = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99, 'x', null].flatMap((type) => [
      text({ type }), text({ type, uid: 'x', requestId: 'x' }), text({ type, uid: 5, requestId: {}, rooms: 5, opts: 7, data: {} }),
    ]);
    await published(url, channels, [...classic, ...requests, ...BYTES], 'publish');
  },
  async 'redis-sharded'(url, prefix) {
    const channels = ['#/#', '#/#room#', '#/#x'].map((end) => `${prefix}${end}`);
    await published(url, channels, [...encoded(), ...BYTES], 'sPublish');
  },
  async 'redis-streams'(url, prefix) {
    await published(url, [`${prefix}#/#`], [...encoded(), ...BYTES], 'publish');
    const client = await connected(url);
    const entries = [
      { a: 'b' }, { nsp: '/' }, { nsp: '/', type: '3' }, { nsp: '/', type: 'x', uid: 'x', data: '{' }, { uid: 'x', type: '3', data: '{}' },
      ...MESSAGES.map((value) => ({ nsp: '/', uid: 'x', type: String(value?.type ?? 3), data: JSON.stringify(value?.data ?? null) })),
      ...BYTES.flatMap((bytes) => [bytes, bytes.toString('base64')]).map((bytes) => ({ nsp: '/', uid: 'x', type: '3', data: bytes })),
    ];
    for (const entry of entries) await client.xAdd(prefix, '*', entry);
    await client.close();
  },
  async postgres(url, prefix) {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const notify = (payload) => client.query('SELECT pg_notify($1, $2)', [`${prefix}#/`, payload]);
    const short = (bytes) => bytes.length < 8000 && !bytes.includes(0);
    for (const bytes of [...MESSAGES.map(text), ...BYTES].filter(short)) await notify(bytes.toString());
    const header = { uid: 'x', type: 3 };
    for (const id of ['0', '-1', 'x', 5, {}, null, '9'.repeat(30), '1; DROP TABLE socket_io_attachments']) {
      await notify(JSON.stringify({ ...header, attachmentId: id }));
    }
    for (const bytes of [...encoded(), ...BYTES]) {
      const { rows } = await client.query('INSERT INTO socket_io_attachments (payload) VALUES ($1) RETURNING id', [bytes]);
      await notify(JSON.stringify({ ...header, attachmentId: rows[0].id }));
    }
    await client.end();
  },
  async mongodb(url, prefix) {
    const client = await new MongoClient(url).connect();
    const documents = client.db('test').collection(prefix);
    const objects = MESSAGES.filter((each) => each?.constructor === Object);
    await documents.insertMany(objects.map((each) => ({ ...each })), { ordered: false });
    await client.close();
  },
  async nats(url, prefix) {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write('CONNECT {"verbose":false}\r\n');
    const subjects = ['all', 'room.cm9vbQ', 'node.eA', 'x'].map((end) => `${prefix}.Lw.${end}`);
    // Each payload is sent as it is, and behind the header of our messages: a byte, a counter, a
    // name.
    const head = (count) => Buffer.concat([Buffer.from([1]), Buffer.from(count, 'hex'), Buffer.from('\x01x')]);
    const heads = [Buffer.alloc(0), head('0000000000000001'), head('ffffffffffffffff')];
    for (const bytes of [...encoded(), ...BYTES].filter(({ length }) => length < 1_000_000)) {
      for (const payload of heads.map((before) => Buffer.concat([before, bytes]))) {
        for (const subject of subjects) socket.write(Buffer.concat([Buffer.from(`PUB ${subject} ${payload.length}\r\n`), payload, Buffer.from('\r\n')]));
      }
    }
    await new Promise((resolve) => {
      socket.on('data', (data) => data.includes('PONG') && resolve());
      socket.write('PING\r\n');
    });
    socket.destroy();
  },
};

function encoded() {
  return MESSAGES.flatMap((value) => [text(value ?? null), encode(value ?? null)]);
}

async function connected(url) {
  const client = createClient({ url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function published(url, channels, payloads, command) {
  const client = await connected(url);
  for (const payload of payloads) {
    await Promise.all(channels.map((channel) => client[command](channel, payload)));
  }
  await client.close();
}
