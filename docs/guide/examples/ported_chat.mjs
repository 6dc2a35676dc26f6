import { Server } from 'socket.io';

const users = new Map(); // socket id → name
const io = new Server({ cors: { origin: '*' } });

io.use((socket, next) => {
  const { name } = socket.handshake.auth;
  if (typeof name === 'string' && name.length > 0) return next();
  const error = new Error('a name is needed');
  error.data = { field: 'name' };
  next(error);
});

io.on('connection', (socket) => {
  const { name } = socket.handshake.auth;
  users.set(socket.id, name);
  socket.broadcast.emit('user joined', name, users.size);

  socket.on('join', (room, done) => {
    socket.join(room);
    socket.to(room).emit('joined', room, name);
    done([...socket.rooms].filter((other) => other !== socket.id));
  });

  socket.on('say', (room, text, done) => {
    if (!socket.rooms.has(room)) return done({ error: 'join the room first' });
    io.to(room).except(socket.id).emit('said', { room, name, text });
    done({ ok: true });
  });

  socket.on('picture', (room, bytes) => {
    socket.to(room).volatile.emit('picture', name, bytes);
  });

  socket.on('who', (done) => done([...users.values()].sort()));

  socket.on('disconnecting', () => {
    for (const room of socket.rooms) if (room !== socket.id) socket.to(room).emit('left', room, name);
  });

  socket.on('disconnect', () => {
    users.delete(socket.id);
    io.emit('user left', name);
  });
});

const port = Number(process.env.PORT ?? 3000);
io.listen(port);
console.log(`listening on ${port}`);
