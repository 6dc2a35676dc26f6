// The mixes of nodes, and their engines.

/** Adapters that exist for Node. */
export const NODE = ['redis', 'redis-sharded', 'redis-streams', 'postgres', 'mongodb'];
/** Adapters of ours. */
const RUST = [...NODE, 'nats'];

const pairs = (adapters, ...kinds) => adapters.map((adapter) => ({ adapter, kinds }));

/** All pairs of nodes, as `{ adapter, kinds }`. The words in `MIXES`, such as `postgres rust+node`, select some of them. */
export const MIXES = [
  ...pairs(RUST.filter((adapter) => NODE.includes(adapter)), 'rust', 'node'),
  ...pairs(RUST, 'rust', 'rust'),
  // Our nodes have a log beside the channels, and Node's do not.
  ...pairs(['postgres-log'], 'rust', 'node'),
  // Node alone shows that the expectations of the tests are right.
  ...pairs(NODE, 'node', 'node'),
].filter(picked);

/** The adapters of each older release of Node's packages, which are those of its time. */
const RELEASES = {
  4.5: ['redis', 'postgres'],
  4.6: ['redis', 'redis-streams', 'postgres'],
  4.7: NODE.filter((adapter) => adapter !== 'mongodb'),
};

/**
 * Operations that fail between an older release and the present one, with our node as with Node's: `MIXES="node+node"` shows it. The
 * titles of the tests, and why.
 */
const IMPOSSIBLE = [
  {
    adapter: 'redis-streams',
    releases: ['4.6', '4.7'],
    tests: /acknowledge|acks|fetchSockets returns (all|the sockets of a room)|serverCount|servers that answer|stay in their namespace/,
    why: 'before 0.3 requests and replies go through the stream, and nodes are known by heartbeats',
  },
  {
    adapter: 'redis-streams',
    releases: ['4.6', '4.7'],
    tests: /→ node@.*server-side event reaches/,
    why: 'before 0.3 nobody listens to the channels',
  },
  {
    adapter: 'redis-sharded',
    releases: ['4.7'],
    tests: /node@.* → .*(one client by id|room x{20}|arrive in order)$/,
    why: '8.2 publishes to the channel of an id, to which nobody subscribes',
  },
];

/** Why two nodes of a mix cannot do what a test expects; false where they can. */
export function impossible({ adapter, kinds }, title) {
  const release = kinds.map((kind) => kind.split('@')[1]).find(Boolean);
  const known = IMPOSSIBLE.find((each) => each.adapter === adapter && each.releases.includes(release) && each.tests.test(title));
  return known?.why ?? false;
}

const older = Object.entries(RELEASES);
/** Each of them beside ours. On request (`MIXES="node+node"`) beside Node's present one, which shows what works at all. */
export const OLDER = ['rust', 'node']
  .flatMap((kind) => older.flatMap(([release, adapters]) => pairs(adapters, kind, `node@${release}`)))
  .filter((mix) => mix.kinds[0] === 'rust' || process.env.MIXES?.includes('node+node'))
  .filter(picked);

/** Node alone runs here only on request, because the mixes above already check the expectations. */
const clustered = process.env.MIXES?.includes('node+node') ? [['rust', 'node'], ['node', 'node']] : [['rust', 'node']];
const REDIS = NODE.filter((adapter) => adapter.startsWith('redis'));

/** Mixes on a Redis Cluster, with each client library that Node's adapters support. */
export const CLUSTERED = clustered
  .flatMap((kinds) => REDIS.flatMap((adapter) => ['node-redis', 'ioredis'].map((client) => ({ adapter, kinds, client }))))
  .filter(picked);

export function title({ adapter, kinds, client }) {
  return `${adapter}, ${kinds.join('+')}${client ? `, ${client}` : ''}`;
}

function picked(mix) {
  return (process.env.MIXES ?? '').split(' ').every((word) => title(mix).includes(word));
}
