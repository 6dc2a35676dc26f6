// Two of our nodes behind nginx, HAProxy and Caddy, with the configurations of `interop/proxy/`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { eventually, member, node } from '../lib/cluster.mjs';
import { closeAll, upgraded } from '../lib/client.mjs';
import { freePort, program } from '../lib/server.mjs';

const CLIENTS = 12;

/** The kinds of stickiness, and the client options that each needs. */
const WAYS = {
  ADDRESS: (i) => ({ agent: new Agent({ localAddress: `127.0.0.${i + 2}`, keepAlive: true }) }),
  COOKIE: () => ({ withCredentials: true }),
  SESSION: () => ({}),
};

const PROXIES = [
  { name: 'nginx', file: 'nginx.conf', ways: ['ADDRESS', 'COOKIE'], args: (path, folder) => ['-e', 'stderr', '-p', folder, '-c', path, '-g', 'daemon off; master_process off;'] },
  { name: 'haproxy', file: 'haproxy.cfg', ways: ['ADDRESS', 'COOKIE', 'SESSION'], args: (path) => ['-db', '-f', path] },
  { name: 'caddy', file: 'Caddyfile', ways: ['ADDRESS', 'COOKIE'], args: (path) => ['run', '--adapter', 'caddyfile', '--config', path] },
];

for (const { name, file, ways, args } of PROXIES) {
  describe(name, () => {
    let nodes, proxy, folder;
    const ports = {};
    before(async () => {
      nodes = await Promise.all(['one', 'two'].map((NAME) => node('rust', 'memory', { url: '' }, { NAME, COOKIE: '1' })));
      folder = await mkdtemp(join(tmpdir(), 'proxy-'));
      for (const way of [...ways, 'NONE']) ports[way] = await freePort();
      const words = { FOLDER: folder, ONE: `127.0.0.1:${nodes[0].port}`, TWO: `127.0.0.1:${nodes[1].port}`, ...ports };
      const template = await readFile(new URL(`../proxy/${file}`, import.meta.url), 'utf8');
      const path = join(folder, file);
      await writeFile(path, template.replaceAll(/@([A-Z]+)@/g, (word, key) => words[key] ?? word));
      proxy = watched(program(`${name.toUpperCase()}_SERVER`), args(path, folder));
      await eventually(() => answers(ports.NONE), `${name} listens`);
    });
    afterEach(closeAll);
    after(async () => {
      await proxy?.stop();
      await Promise.all(nodes.map((server) => server.stop()));
      await rm(folder, { recursive: true });
    });

    const through = (way, i, options) => member({ url: `http://127.0.0.1:${ports[way]}` }, { ...WAYS[way]?.(i), ...options });
    const many = (way, options) => Promise.all(Array.from({ length: CLIENTS }, (_, i) => through(way, i, options)));

    /** Checks that each client always reaches the same node, and that each node has clients. */
    async function assertSpread(clients) {
      const names = await Promise.all(clients.map(async (socket) => {
        const answers = [];
        for (let i = 0; i < 5; i += 1) answers.push(await socket.op('whoami'));
        assert.equal(new Set(answers).size, 1);
        return answers[0];
      }));
      assert.deepEqual([...new Set(names)].sort(), ['one', 'two']);
    }

    for (const way of ways) {
      test(`long polling sticks by ${way.toLowerCase()}`, async () => {
        await assertSpread(await many(way, { transports: ['polling'] }));
      });
      test(`an upgrade to WebSocket, by ${way.toLowerCase()}`, async () => {
        const clients = await many(way, { transports: ['polling', 'websocket'] });
        await Promise.all(clients.map(upgraded));
        await assertSpread(clients);
      });
    }
    test('WebSocket alone needs no stickiness', async () => {
      await assertSpread(await many('NONE', { transports: ['websocket'] }));
    });
    test('long polling without stickiness fails', async () => {
      const path = `http://127.0.0.1:${ports.NONE}/socket.io/?EIO=4&transport=polling`;
      const session = async () => {
        const opening = await (await fetch(path)).text();
        const { sid } = JSON.parse(opening.slice(1));
        const { status } = await fetch(`${path}&sid=${sid}`, { method: 'POST', body: '40' });
        return status;
      };
      const statuses = await Promise.all(Array.from({ length: 20 }, session));
      assert.ok(statuses.includes(400), `${statuses}`);
    });
    // These tests are the last, because the balancer avoids a restarted node for a moment.
    for (const [way, transports] of [...ways.map((way) => [way, ['polling']]), ['NONE', ['websocket']]]) {
      test(`clients of a killed node reconnect to another, by ${way.toLowerCase()}`, async () => {
        // Like a browser, they keep the cookie of the killed node. The client drops cookies under Node.
        const cookies = way === 'COOKIE' ? await bothCookies(ports.COOKIE) : [];
        const keeps = (i) => (way === 'COOKIE' ? { withCredentials: false, extraHeaders: { Cookie: cookies[i % 2] } } : {});
        const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => through(way, i, { transports, ...keeps(i) })));
        const [{ port }] = nodes;
        await nodes[0].stop('SIGKILL');
        await Promise.all(clients.map((socket) => isOn(socket, 'two')));
        if (way === 'COOKIE') {
          // They stick to the new node even when the other one is back.
          const now = await Promise.all(cookies.map(async (cookie) => (await nodeCookie(ports.COOKIE, cookie)) ?? cookie));
          assert.equal(now[0], now[1]);
          assert.ok(cookies.includes(now[0]));
        }
        nodes[0] = await node('rust', 'memory', { url: '' }, { NAME: 'one', COOKIE: '1', PORT: port });
        await eventually(async () => {
          closeAll();
          const names = await Promise.all((await many(way, { transports })).map((socket) => socket.op('whoami').catch(() => '')));
          return names.includes('one') && names.includes('two');
        }, 'both nodes have clients again');
      });
    }
  });
}

/** The cookie that a proxy sets to stick a client to a node, or undefined if the client keeps the one that it has. */
async function nodeCookie(port, cookie) {
  const opening = await fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`, { headers: cookie ? { cookie } : {} });
  assert.equal(opening.status, 200);
  return opening.headers.getSetCookie().map((it) => it.split(';')[0]).find((it) => it.startsWith('node='));
}

/** The cookies of both nodes. */
async function bothCookies(port) {
  const cookies = new Set();
  await eventually(async () => cookies.add(await nodeCookie(port)).size === 2, 'each node gives its cookie');
  return [...cookies];
}

/**
 * Waits until a client that has lost its node is served by the node `name`. A killed node does not always reset the connections that it
 * has not accepted: a client that waits on one notices by its own timeout (20 s) or the heartbeat (45 s).
 */
function isOn(socket, name) {
  return eventually(async () => socket.connected && (await socket.op('whoami').catch(() => '')) === name, `a client is on ${name}`, 80_000);
}

/** Starts a program that ends with this process, even if this process is killed: a shell waits for the end of its input. */
function watched(path, args) {
  const script = '"$@" </dev/null & child=$!; read -r _; kill "$child"; wait "$child" 2>/dev/null';
  const shell = spawn('sh', ['-c', script, 'sh', path, ...args], { stdio: ['pipe', 2, 2], detached: true });
  const ended = new Promise((resolve) => shell.once('exit', resolve));
  return {
    stop() {
      shell.stdin.end();
      return ended;
    },
  };
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.end());
  });
}
