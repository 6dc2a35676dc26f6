// The mixes of nodes, and their engines.

/** Adapters that exist for Node. */
export const NODE = ['redis', 'redis-sharded', 'redis-streams', 'postgres'];
/** Adapters of ours. */
const RUST = [...NODE, 'nats'];

const pairs = (adapters, ...kinds) => adapters.map((adapter) => ({ adapter, kinds }));

/** All pairs of nodes, as `{ adapter, kinds }`. The words in `MIXES`, such as `postgres rust+node`, select some of them. */
export const MIXES = [
  ...pairs(RUST.filter((adapter) => NODE.includes(adapter)), 'rust', 'node'),
  ...pairs(RUST, 'rust', 'rust'),
  // Node alone shows that the expectations of the tests are right.
  ...pairs(NODE, 'node', 'node'),
].filter(picked);

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
