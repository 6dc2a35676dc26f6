// Starts the servers under test, and stops them at the end of the test run at the latest.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
// Without these handlers a signal would end this process before the exit handler runs.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** The path of a server program, set by `cargo xtask test`. */
export function program(variable) {
  const path = process.env[variable];
  if (!path) throw new Error(`${variable} is not set; run these tests with \`cargo xtask test\``);
  return path;
}

// These ports lie below the range from which systems take the ports of outgoing connections. Such a connection
// could otherwise occupy the port of a server that is not started yet, or restarts.
const FIRST = 10_000;
const COUNT = 10_000;
let next = process.pid * 7;

/** A free port. It stays reserved for this process, by another UDP port, as in `xtask/engines/src/port.rs`. */
export async function freePort() {
  for (let tries = 0; tries < COUNT; tries += 1) {
    next += 1;
    const port = FIRST + (next % COUNT);
    const reserving = createSocket('udp4');
    if (!(await bound(reserving, () => reserving.bind({ port: port + COUNT, address: '127.0.0.1', exclusive: true })))) continue;
    reserving.unref();
    const probe = createServer();
    if (!(await bound(probe, () => probe.listen(port, '127.0.0.1')))) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
  throw new Error('there is no free port');
}

/** Resolves with whether `bind` succeeds. */
function bound(socket, bind) {
  return new Promise((resolve) => {
    socket.once('listening', () => resolve(true));
    socket.once('error', () => resolve(false));
    bind();
  });
}

/** The heartbeat of a server whose clients, which need not answer pings, must not be late on a busy machine. */
export const CALM = { PING_INTERVAL: '25000', PING_TIMEOUT: '20000' };

/** A heartbeat that comes soon, with a timeout that a client which answers does not reach on a busy machine. */
export const QUICK = { PING_INTERVAL: '300', PING_TIMEOUT: '3000' };

/** Starts a server program with these arguments and waits until it has printed `ready`. Does not wait if that is null. */
export async function start(path, env = {}, args = [], ready = /listening/i) {
  const port = env.PORT ?? (await freePort());
  const child = spawn(path, args, { env: { ...process.env, ...env, PORT: String(port) }, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  const exited = new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  }).finally(() => running.delete(child));
  const listening = new Promise((resolve) => {
    const read = (chunk) => {
      output += chunk;
      if (ready?.test(output)) resolve();
    };
    if (!ready) resolve();
    child.stdout.on('data', read);
    child.stderr.on('data', read);
  });
  const ended = exited.then((how) => {
    throw new Error(`${path} did not start: ${JSON.stringify(how)} ${how.error ?? ''}\n${output}`);
  });
  await Promise.race([listening, ended]);
  ended.catch(() => {});
  return {
    port,
    pid: child.pid,
    url: `http://127.0.0.1:${port}`,
    /** Sends a signal to the server. `SIGSTOP` and `SIGCONT` simulate a hang. */
    signal: (signal) => child.kill(signal),
    output: () => output,
    /** Ends the server like a service manager: SIGTERM, and SIGKILL if it does not exit. Returns its exit code and signal. */
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      const how = await exited;
      clearTimeout(timer);
      return how;
    },
  };
}
