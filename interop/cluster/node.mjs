// One node of a cluster: Node's server with the contract of the `cluster` rig, so that the two can be mixed.
//
// Environment: PORT, NAME, ADAPTER (memory, redis, redis-sharded, redis-streams, postgres, mongodb, mongodb-ttl), URL
// (with commas between a Redis Cluster's nodes), PREFIX, RECOVERY=1, PING_INTERVAL and PING_TIMEOUT in
// milliseconds, CLIENT=ioredis for the other Redis client, ADMIN=1 for the Admin UI, RELEASE (a folder of
// `releases/`) for older packages, which are installed below RELEASES.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { instrument } from '@socket.io/admin-ui';
import { Cluster, Redis } from 'ioredis';

const { PORT = '0', NAME = 'node', ADAPTER = 'memory', URL: url, PREFIX, RECOVERY, CLIENT, RELEASE, RELEASES, ADMIN } = process.env;
const require = createRequire(RELEASE ? join(RELEASES, RELEASE, 'package.json') : import.meta.url);
const { Server } = require('socket.io');
const { createClient, createCluster } = require('redis');
const ms = (name) => (process.env[name] ? Number(process.env[name]) : undefined);

/** Waits until the adapter's subscriptions are active, so that this node is part of the cluster. */
let joined = async () => {};

const http = createServer();
const io = new Server(http, {
  serveClient: false,
  adapter: await adapter(),
  ...(ms('PING_INTERVAL') && { pingInterval: ms('PING_INTERVAL') }),
  ...(ms('PING_TIMEOUT') && { pingTimeout: ms('PING_TIMEOUT') }),
  ...(RECOVERY === '1' && { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } }),
});
if (ADMIN) instrument(io, { auth: false, mode: 'development', serverId: NAME });
[io.of('/'), io.of('/chat')].forEach(serve);
await joined();
http.listen(Number(PORT), '127.0.0.1', () => console.log(`LISTENING ${http.address().port}`));

process.on('SIGTERM', () => {
  setTimeout(() => process.exit(0), 3000);
  Promise.resolve(io.close()).finally(() => setTimeout(() => process.exit(0), 100));
});

async function adapter() {
  switch (ADAPTER) {
    case 'memory':
      return undefined;
    case 'redis': {
      const [pub, sub] = [await redis(), await redis()];
      joined = () => subscribed(sub);
      return require('@socket.io/redis-adapter').createAdapter(pub, sub, PREFIX && { key: PREFIX });
    }
    case 'redis-sharded': {
      const [pub, sub] = [await redis(), await redis()];
      joined = () => subscribed(sub);
      return require('@socket.io/redis-adapter').createShardedAdapter(pub, sub, PREFIX && { channelPrefix: PREFIX });
    }
    case 'redis-streams': {
      // The client opens further connections and does not report when they are ready.
      joined = () => sleep(300);
      return require('@socket.io/redis-streams-adapter').createAdapter(await redis(), PREFIX && { streamName: PREFIX, channelPrefix: PREFIX });
    }
    case 'postgres':
    // Node's servers have no log.
    case 'postgres-log': {
      const pool = new (require('pg').Pool)({ connectionString: url, max: 4 });
      pool.on('error', () => {});
      // Handles errors of connections in use too. The adapter then connects again.
      pool.on('connect', (client) => client.on('error', () => {}));
      await table(pool);
      joined = () => sleep(300);
      return require('@socket.io/postgres-adapter').createAdapter(pool, { errorHandler: () => {}, ...(PREFIX && { channelPrefix: PREFIX }) });
    }
    case 'mongodb':
    // The documents have `createdAt`, so sessions are deleted.
    case 'mongodb-ttl': {
      const client = await new (require('mongodb').MongoClient)(url).connect();
      joined = () => sleep(300);
      return require('@socket.io/mongo-adapter').createAdapter(client.db('test').collection(PREFIX ?? 'events'), { addCreatedAtField: ADAPTER === 'mongodb-ttl' });
    }
    default:
      throw new Error(`no such adapter here: ${ADAPTER}`);
  }
}

/** The cluster client of `redis` closes a connection twice if its last subscriptions end at once. The error cannot be caught elsewhere. */
function forgive(error) {
  if (error?.constructor.name !== 'ClientClosedError') throw error;
}

/** The clients of a Redis Cluster subscribe on connections that this cannot ask. */
function subscribed(client) {
  return url.includes(',') ? sleep(300) : client.ping();
}

async function redis() {
  const hosts = url.replace('redis://', '').split(',');
  if (CLIENT === 'ioredis') {
    // Without this option the client subscribes to sharded channels on any node.
    const client = hosts.length > 1 ? new Cluster(hosts, { shardedSubscribers: true }) : new Redis(url, { maxRetriesPerRequest: null });
    client.on('error', () => {});
    return client;
  }
  const socket = { reconnectStrategy: 100 };
  if (hosts.length > 1 && process.listenerCount('unhandledRejection') === 0) process.on('unhandledRejection', forgive);
  const client =
    hosts.length > 1
      ? createCluster({ rootNodes: hosts.map((host) => ({ url: `redis://${host}` })), defaults: { socket } })
      : createClient({ url, socket });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Creates the table under a lock, because `IF NOT EXISTS` fails if two nodes create it at once. */
async function table(pool) {
  const client = await pool.connect();
  await client.query('BEGIN');
  await client.query("SELECT pg_advisory_xact_lock(hashtext('socket_io_attachments'))");
  await client.query(`CREATE TABLE IF NOT EXISTS socket_io_attachments (
    id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)`);
  await client.query('COMMIT');
  client.release();
}

function serve(nsp) {
  const log = [];
  nsp._onServerSideEmit = (args) => {
    const ack = typeof args.at(-1) === 'function' ? args.at(-1) : undefined;
    log.push(ack ? args.slice(0, -1) : args);
    if (ack && args[0] === 'nothing') ack();
    else ack?.(args[0] === 'null' ? null : NAME);
  };
  nsp.use((socket, next) => {
    const { join, data } = socket.handshake.auth;
    if (join) socket.join(join);
    if (data !== undefined) socket.data = data;
    next();
  });
  nsp.on('connection', (socket) => {
    socket.on('op', (op, ack) => {
      run(nsp, socket, op, log).then(ack, (error) => ack({ error: error.message }));
    });
  });
}

async function run(nsp, socket, op, log) {
  const select = (operator) => {
    let selected = operator.to(op.to ?? []).except(op.except ?? []);
    if (op.flags?.volatile) selected = selected.volatile;
    if (op.flags?.local || op.local) selected = selected.local;
    if (op.flags?.compress !== undefined) selected = selected.compress(op.flags.compress);
    return selected;
  };
  const everybody = () => select(nsp.except([]));
  const args = op.args ?? [];
  switch (op.op) {
    case 'whoami':
      return NAME;
    case 'emit':
      everybody().emit(op.event, ...args);
      return 'ok';
    case 'broadcast':
      select(socket.broadcast).emit(op.event, ...args);
      return 'ok';
    case 'emitWithAck':
      return responded((done) => everybody().timeout(op.timeout ?? 5000).emit(op.event, ...args, done));
    case 'fetchSockets': {
      const selected = op.timeout ? everybody().timeout(op.timeout) : everybody();
      const sockets = await selected.fetchSockets();
      return sockets.map(described).sort((one, other) => (one.id < other.id ? -1 : 1));
    }
    case 'socketsJoin':
      everybody().socketsJoin(op.rooms);
      return 'ok';
    case 'socketsLeave':
      everybody().socketsLeave(op.rooms);
      return 'ok';
    case 'disconnectSockets':
      everybody().disconnectSockets(op.close);
      return 'ok';
    case 'serverSideEmit':
      nsp.serverSideEmit(...args);
      return 'ok';
    case 'serverSideEmitWithAck':
      return responded((done) => nsp.serverSideEmit(...args, done));
    case 'serverSideLog':
      return log;
    case 'serverCount':
      return nsp.adapter.serverCount();
    default:
      throw new Error('unknown op');
  }
}

function responded(ask) {
  return new Promise((resolve) => {
    ask((error, responses) => resolve({ responses: responses ?? [], error: error?.message ?? null }));
  });
}

function described({ id, rooms, data, handshake }) {
  const { pid, offset, ...auth } = handshake.auth;
  return { id, rooms: [...rooms].sort(), data, auth };
}
