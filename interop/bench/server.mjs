// Node's Socket.IO server with the contract of the `bench` rig.
import { createServer } from "node:http";
import { Server } from "socket.io";

const env = (name, fallback) => Number(process.env[name] ?? fallback);
const http = createServer();
const io = new Server(http, {
  pingInterval: env("PING_INTERVAL", 25000),
  pingTimeout: env("PING_TIMEOUT", 20000),
  serveClient: false,
  perMessageDeflate: process.env.DEFLATE === "1",
});

io.on("connection", (socket) => {
  socket.on("echo", (...args) => socket.emit("echo", ...args));
  socket.on("bin", (data) => socket.emit("bin", data));
  socket.on("ack", (...args) => args.pop()(...args));
  socket.on("value", () => {});
  socket.on("join", (room, ack) => { socket.join(room); ack(); });
  socket.on("cast", (text) => io.emit("cast", text));
  socket.on("roomcast", (room, text) => io.to(room).emit("roomcast", text));
});

http.listen({ port: env("PORT", 3000), host: "127.0.0.1", backlog: 511 }, () => console.log("LISTENING"));
process.on("SIGTERM", () => process.exit(0));
