// Which nodes are mixed on which engine.

/** The adapters that Node has. */
export const NODE = ['redis', 'redis-sharded', 'redis-streams', 'postgres'];
/** Ours. */
const RUST = [...NODE, 'nats'];

const pairs = (adapters, ...kinds) => adapters.map((adapter) => ({ adapter, kinds }));

/** Every pair of nodes, as `{ adapter, kinds }`; the words of `MIXES`, such as `postgres rust+node`, pick some of them. */
export const MIXES = [
  ...pairs(RUST.filter((adapter) => NODE.includes(adapter)), 'rust', 'node'),
  ...pairs(RUST, 'rust', 'rust'),
  // What the tests themselves expect, put to Node alone.
  ...pairs(NODE, 'node', 'node'),
].filter(picked);

/** Node alone is asked where it is called for: elsewhere it has shown what the tests expect. */
const clustered = process.env.MIXES?.includes('node+node') ? [['rust', 'node'], ['node', 'node']] : [['rust', 'node']];
const REDIS = NODE.filter((adapter) => adapter.startsWith('redis'));

/** On a Redis Cluster, with each client that Node's adapters can have there. */
export const CLUSTERED = clustered
  .flatMap((kinds) => REDIS.flatMap((adapter) => ['node-redis', 'ioredis'].map((client) => ({ adapter, kinds, client }))))
  .filter(picked);

export function title({ adapter, kinds, client }) {
  return `${adapter}, ${kinds.join('+')}${client ? `, ${client}` : ''}`;
}

function picked(mix) {
  return (process.env.MIXES ?? '').split(' ').every((word) => title(mix).includes(word));
}
