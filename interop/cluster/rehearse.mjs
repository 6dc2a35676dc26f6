// `cargo xtask rehearse`: the rolling deploy and the change of networks at length, with Node's servers and clients beside ours.
// Prints a table.
//
// The argument is JSON: `engines`, `ways`, `signals`, `rates`, `clients`, `count` and `switches`, as `cargo xtask rehearse --help`
// describes them.

import { fileURLToPath } from 'node:url';

import { within } from '../lib/raw.mjs';
import { rehearse, switchLines } from '../lib/rehearsal.mjs';
import { program, start } from '../lib/server.mjs';

const KINDS = { 'redis-streams': 'redis', mongodb: 'mongodb', 'postgres-log': 'postgres', nats: 'nats-jetstream' };
const SERVERS = { ours: 'rust', node: 'node' };
const COLUMNS = ['delivered', 'lost', 'twice', 'late', 'recovered', 'fresh', 'slowest'];
/** The longest time of a case, in milliseconds. One takes about 15 s. */
const LIMIT = 180_000;

const { engines, ways, signals, rates, clients, count, switches } = JSON.parse(process.argv[2]);
// Node has no adapter for NATS.
const exists = (engine, way) => engine !== 'nats' || !way.includes('node');
const cases = engines.flatMap((engine) =>
  ways.filter((way) => exists(engine, way)).flatMap((way) =>
    signals.flatMap((signal) => rates.flatMap((rate) => clients.map((receiver) => ({ engine, way, signal, rate, receiver })))),
  ),
);
let failed = false;
let rows = 0;

row(['engine', 'way', 'signal', 'rate', 'clients', ...COLUMNS]);
for (const { engine, way, signal, rate, receiver } of cases) {
  const [from, to] = way.split('-').map((name) => SERVERS[name]);
  await print([engine, way, signal, rate, receiver], () =>
    rehearse({ adapter: engine, kind: KINDS[engine], from, to, signal, receiver, count, rate }),
  );
}
const script = fileURLToPath(new URL('../servers/recovery.mjs', import.meta.url));
for (const way of switches > 0 ? ['ours', 'node'] : []) {
  for (const receiver of clients) {
    await print(['one node', way, `${switches} lines`, 500, receiver], async () => {
      const server = way === 'ours' ? await start(program('RECOVERY_SERVER')) : await start(process.execPath, {}, [script]);
      try {
        return await switchLines([server], { receiver, times: switches });
      } finally {
        await server.stop('SIGKILL');
      }
    });
  }
}
if (rows === 0) console.error('no such case: Node has no adapter for NATS');
if (failed) console.error('a case between our nodes lost or repeated messages, or a case did not end');
process.exit(failed || rows === 0 ? 1 : 0);

/** Prints the row of a case, which fails if it does not end, or if our nodes lose or repeat a message. */
async function print(names, run) {
  rows += 1;
  try {
    const result = await within(run(), 'the end of the case', LIMIT);
    row([...names, ...COLUMNS.map((name) => result[name] ?? '–')]);
    failed ||= !names[1].includes('node') && result.lost + result.twice > 0;
  } catch (error) {
    row([...names, error.message]);
    failed = true;
  }
}

function row(cells) {
  const widths = [13, 9, 9, 4, 7];
  console.log(cells.map((cell, i) => (i < widths.length ? String(cell).padEnd(widths[i]) : String(cell).padStart(9))).join(' '));
}
