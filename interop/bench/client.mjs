// The load of the `client_bench` rig, generated with Node's client. Its arguments and its output are
// the same.
import { io } from "socket.io-client";

const [port, connections, inFlight, seconds] = process.argv.slice(2, 6).map(Number);
const transports = [process.argv[6] ?? "websocket"];
let memory = 0;
const text = "abcdefghijklmnopqrstuvwxyz012345";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let received = 0;
let wrong = 0;
const sockets = [];

for (let n = 0; n < connections; n += 1) {
  const socket = io(`http://127.0.0.1:${port}`, { forceNew: true, transports });
  let expected = 0;
  socket.on("echo", ({ id }) => {
    received += 1;
    if (id !== expected) wrong += 1;
    expected += 1;
    socket.emit("echo", { id: id + inFlight, text });
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  sockets.push(socket);
  memory ||= process.memoryUsage.rss();
}
for (const socket of sockets) {
  for (let id = 0; id < inFlight; id += 1) socket.emit("echo", { id, text });
}
await sleep(1000);
const [start, from, spent] = [performance.now(), received, process.cpuUsage()];
await sleep(seconds * 1000);
const { user, system } = process.cpuUsage(spent);
const messages = received - from;
const took = (performance.now() - start) / 1000;
console.log(
  JSON.stringify({
    messages,
    rate: messages / took,
    cpu_us: (user + system) / Math.max(messages, 1),
    wrong,
    kib: (process.memoryUsage.rss() - memory) / 1024 / connections,
  }),
);
process.exit(0);
