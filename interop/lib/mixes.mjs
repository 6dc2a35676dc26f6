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
].filter((mix) => (process.env.MIXES ?? '').split(' ').every((word) => title(mix).includes(word)));

export function title({ adapter, kinds }) {
  return `${adapter}, ${kinds.join('+')}`;
}
