// The examples of metrics and traces: a real Prometheus reads the metrics and answers the queries of the
// dashboard.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { closeAll, connected, event } from '../lib/client.mjs';
import { eventually } from '../lib/cluster.mjs';
import { freePort, program, start } from '../lib/server.mjs';

const FOLDER = program('OBSERVABILITY');
const DASHBOARD = JSON.parse(readFileSync(join(FOLDER, 'grafana.json'), 'utf8'));
const QUERIES = DASHBOARD.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
const ALERTS = [...readFileSync(join(FOLDER, 'alerts.yml'), 'utf8').matchAll(/expr: (.*)/g)].map(([, expr]) => expr);
const CHAPTER = readFileSync(join(program('GUIDE'), 'src/operating.md'), 'utf8');

let server, metricsUrl, page;
before(async () => {
  const METRICS_PORT = await freePort();
  server = await start(program('METRICS_SERVER'), { METRICS_PORT });
  metricsUrl = `http://127.0.0.1:${METRICS_PORT}/metrics`;
  const [ann, bob] = [await connected(server), await connected(server)];
  const said = event(bob, 'said');
  assert.equal(await ann.emitWithAck('say', 'hello'), 5);
  assert.equal((await said)[0], 'hello'); // the offset for recovery follows
  const read = async () => (await fetch(metricsUrl)).text();
  // The time of a handler is counted when it ends.
  page = await eventually(async () => (value(await read(), 'socketio_handler_seconds_total') > 0 ? read() : undefined), 'the handler has ended');
});
after(async () => {
  closeAll();
  await server.stop();
});

/** The value of a metric on a page. */
const value = (text, name) => Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1]);

/** The samples that queries name: each name with the labels that it must have. */
function samples(queries) {
  const selectors = queries.flatMap((query) => [...query.matchAll(/((?:socketio|engineio)_\w+)(?:\{(.*?)\})?/g)]);
  return selectors.flatMap(([, name, labels = '']) => {
    const matchers = [...labels.matchAll(/(\w+)=~?"(.*?)"/g)].filter(([, label]) => !['job', 'instance'].includes(label));
    if (matchers.length === 0) return [{ name, label: '' }];
    return matchers.flatMap(([, label, values]) => values.split('|').map((value) => ({ name, label: `${label}="${value}"` })));
  });
}

const gives = ({ name, label }) => page.split('\n').some((line) => /^\w+/.exec(line)?.[0] === name && line.includes(label));

test('the exporter counts events, and the time of handlers in seconds', () => {
  assert.ok(gives({ name: 'socketio_events_total', label: 'kind="received"} 1' }), page);
  assert.equal(value(page, 'socketio_sockets'), 2);
  const seconds = value(page, 'socketio_handler_seconds_total');
  assert.ok(seconds > 0 && seconds < 10, `${seconds}`);
});

test("each metric follows Prometheus's rules for names and has a description", () => {
  const metrics = [...page.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => ({ name, type }));
  assert.ok(metrics.length > 20);
  for (const { name, type } of metrics) {
    assert.match(name, /^(socketio|engineio)_[a-z_]+$/);
    assert.doesNotMatch(name, /milli|micro|nano|kilo|mega/);
    assert.match(page, new RegExp(`^# HELP ${name} \\S`, 'm'));
    const sample = new RegExp(`^${name}${type === 'counter' ? '_total' : ''}[ {]`, 'm');
    assert.match(page, sample);
  }
});

test('each query of the dashboard and each alert names samples of the exporter', () => {
  const named = samples([...QUERIES, ...ALERTS]);
  assert.ok(named.length > 30);
  assert.deepEqual(named.filter((sample) => !gives(sample)), []);
});

test('the guide lists metrics of the exporter', () => {
  const rows = CHAPTER.split('\n').filter((line) => /^\| `(socketio|engineio)_/.test(line));
  const names = rows.flatMap((row) => row.split('|')[1].match(/\w+/g)).map((name) => ({ name, label: '' }));
  assert.ok(names.length > 10);
  assert.deepEqual(names.filter((name) => !gives(name)), []);
});

test('a real Prometheus answers each query of the dashboard and evaluates the alerts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'prometheus-'));
  const port = await freePort();
  const config = readFileSync(join(FOLDER, 'prometheus.yml'), 'utf8');
  const quick = config.replaceAll('15s', '500ms').replace('127.0.0.1:9464', new URL(metricsUrl).host);
  writeFileSync(join(folder, 'prometheus.yml'), quick);
  copyFileSync(join(FOLDER, 'alerts.yml'), join(folder, 'alerts.yml'));
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
  args.push(`--web.listen-address=127.0.0.1:${port}`, '--log.level=error');
  const prometheus = spawn(program('PROMETHEUS'), args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ask = async (path) => {
    const { status, error, data } = await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json();
    assert.equal(status, 'success', error);
    return data;
  };
  try {
    await eventually(() => fetch(`http://127.0.0.1:${port}/-/ready`).then(({ ok }) => ok, () => false), 'Prometheus is ready');
    // On a busy machine a response may take longer than the interval, which Prometheus reports as an error.
    await eventually(async () => (await ask('targets')).activeTargets.some(({ health }) => health === 'up'), 'it has read the metrics');
    for (const query of QUERIES) {
      const concrete = query.replaceAll('$__rate_interval', '10s').replaceAll('$job', 'socketio').replaceAll('$instance', '.*');
      await eventually(async () => {
        // One panel shows only reasons for which requests were refused lately.
        await fetch(`${server.url}/socket.io/?EIO=4&transport=polling&sid=unknown`);
        const { result } = await ask(`query?query=${encodeURIComponent(concrete)}`);
        return result.length > 0;
      }, `there are results for ${concrete}`);
    }
    const rules = await eventually(async () => {
      const all = (await ask('rules')).groups.flatMap(({ rules }) => rules);
      return all.every(({ health }) => health !== 'unknown') && all;
    }, 'the alerts are evaluated');
    assert.equal(rules.length, ALERTS.length);
    assert.deepEqual(rules.filter(({ health }) => health !== 'ok'), []);
  } finally {
    prometheus.kill();
    await once(prometheus, 'exit');
    rmSync(folder, { recursive: true });
  }
});

test('the example of traces prints the spans of a session and its events', async () => {
  const traced = await start(program('TRACES_SERVER'));
  const socket = await connected(traced);
  assert.equal(await socket.emitWithAck('say', 'hello'), 5);
  socket.disconnect();
  const { code } = await traced.stop('SIGINT');
  assert.equal(code, 0);
  for (const text of [/Name\s*: session/, /Name\s*: event/, /Name\s*: store/, /name: .*say/]) assert.match(traced.output(), text);
});
