// The rolling deploy and the change of networks, rehearsed at length with Node's servers beside ours.
// Prints a table.
//
// Run it with `cargo xtask rehearse`. Arguments: the adapters, without which all are rehearsed.

import { fileURLToPath } from 'node:url';

import { rehearse, switchLines } from '../lib/rehearsal.mjs';
import { program, start } from '../lib/server.mjs';

const ENGINES = { 'redis-streams': 'redis', nats: 'nats-jetstream', 'postgres-log': 'postgres' };
const WAYS = [['rust', 'rust'], ['node', 'rust'], ['rust', 'node'], ['node', 'node']];
const wanted = process.argv.slice(2);
const picked = Object.entries(ENGINES).filter(([adapter]) => wanted.length === 0 || wanted.includes(adapter));
const columns = ['delivered', 'lost', 'twice', 'late', 'recovered', 'fresh'];

console.log(['adapter'.padEnd(14), 'way'.padEnd(12), 'signal ', '  /s', ...columns.map((name) => name.padStart(9))].join(' '));
for (const [adapter, kind] of picked) {
  for (const [from, to] of adapter === 'redis-streams' ? WAYS : [['rust', 'rust']]) {
    for (const signal of ['SIGTERM', 'SIGKILL']) {
      for (const rate of [20, 200]) {
        const result = await rehearse({ adapter, kind, from, to, signal, rate });
        const counts = columns.map((name) => String(result[name]).padStart(9));
        console.log([adapter.padEnd(14), `${from}→${to}`.padEnd(12), signal, String(rate).padStart(4), ...counts].join(' '));
      }
    }
  }
}
console.log('\n100 changes of networks within 300 ms, one server, 500 events a second:');
const nodes = fileURLToPath(new URL('../servers/recovery.mjs', import.meta.url));
for (const [name, path, args] of [['rust', program('RECOVERY_SERVER'), []], ['node', process.execPath, [nodes]]]) {
  const server = await start(path, {}, args);
  console.log(name, JSON.stringify(await switchLines([server])));
  await server.stop('SIGKILL');
}
process.exit(0);
