// Starts the servers under test, and makes sure that none of them outlives the test run.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
// Without these a signal would end us before the handler above can run.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** The path of a server program, handed over by `cargo xtask test`. */
export function program(variable) {
  const path = process.env[variable];
  if (!path) throw new Error(`${variable} is not set: run these tests with \`cargo xtask test\``);
  return path;
}

/** A port that was free a moment ago. */
export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Starts a server program, with these arguments, and waits until it says that it listens. */
export async function start(path, env = {}, args = []) {
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
      if (/listening/i.test(output)) resolve();
    };
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
    /** Signals it: `SIGSTOP` and `SIGCONT` let it hang for a while. */
    signal: (signal) => child.kill(signal),
    output: () => output,
    /** Ends the server as a service manager would; killed when it does not comply. Gives its exit code. */
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      const how = await exited;
      clearTimeout(timer);
      return how;
    },
  };
}
