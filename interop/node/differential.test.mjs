// Sends the same requests to Node's server and to ours, and compares the responses byte by byte. A difference is a fault unless
// `intended.mjs` lists it with a reason.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import { contents, MAX_PAYLOAD } from '../differential/bodies.mjs';
import { intended } from '../differential/intended.mjs';
import { Probe } from '../differential/probe.mjs';
import { requests } from '../differential/requests.mjs';
import { program, start } from '../lib/server.mjs';

const NODE = fileURLToPath(new URL('../servers/conformance.mjs', import.meta.url));
/** The times without a byte, in ms, after which a response counts as complete. If the servers differ, the next longer time is tried. */
const QUIET = [100, 500, 2000, 10_000];

const ends = [];
after(() => Promise.all(ends.map((end) => end())));

/** Both servers, with these settings. */
async function pair(settings) {
  const env = { PING_INTERVAL: '25000', PING_TIMEOUT: '20000', MAX_PAYLOAD: String(MAX_PAYLOAD), ...settings };
  const pair = await Promise.all([start(process.execPath, env, [NODE]), start(program('CONFORMANCE_SERVER'), env)]);
  pair.forEach((server) => ends.push(() => server.stop()));
  return pair;
}

const servers = {
  plain: await pair({}),
  eio3: await pair({ ALLOW_EIO3: '1' }),
  patience: await pair({ BODY_TIMEOUT: '300' }),
};

/** The response of a server to a request. */
async function observe(server, { path = '/engine.io/' }, question, quiet) {
  const probe = new Probe(server.port, path, quiet);
  try {
    return await question(probe);
  } catch (error) {
    return { error: error.message };
  } finally {
    probe.end();
  }
}

const applied = new Set();
const cases = [...requests, ...contents].map(([name, options, question]) => ({
  name: options.eio3 ? `${name} (revision 3 allowed)` : name,
  options,
  question,
}));

/** The responses of both servers, without the intended differences. */
async function compare({ name, options, question }, quiet) {
  const pair = servers[options.patience ? 'patience' : options.eio3 ? 'eio3' : 'plain'];
  let [node, ours] = await Promise.all(pair.map((server) => observe(server, options, question, quiet)));
  for (const { why, what, same } of intended) {
    if (!what.test(name) || isDeepStrictEqual(node, ours)) continue;
    applied.add(why);
    [node, ours] = same(node, ours);
  }
  return [node, ours];
}

describe('Node\'s server and ours', { concurrency: 16 }, () => {
  for (const each of cases) {
    test(each.name, async () => {
      let node;
      let ours;
      for (const quiet of QUIET) {
        [node, ours] = await compare(each, quiet);
        if (isDeepStrictEqual(node, ours)) return;
      }
      assert.deepEqual(ours, node);
    });
  }
});

test('each listed difference exists', async () => {
  const missing = () => intended.filter(({ why }) => !applied.has(why));
  // A server that is late on a busy machine responds after a short time without a byte, and so may hide a difference.
  for (const quiet of QUIET.slice(1)) {
    const hidden = cases.filter(({ name }) => missing().some(({ what }) => what.test(name)));
    await Promise.all(hidden.map((each) => compare(each, quiet)));
  }
  assert.deepEqual(missing().map(({ why }) => why), []);
});
