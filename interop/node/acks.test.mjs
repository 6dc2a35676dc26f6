// A client that keeps reading gets every ack, however many it requests at once.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { WebSocket } from 'ws';

import { closeAll, connected } from '../lib/client.mjs';
import { within } from '../lib/raw.mjs';
import { CALM, program, start } from '../lib/server.mjs';

let server;
before(async () => {
  server = await start(program('CONFORMANCE_SERVER'), CALM);
});
after(() => server?.stop());
afterEach(closeAll);

describe('the public client', () => {
  for (const transport of ['polling', 'websocket']) {
    test(`gets 20 000 acks that it requests at once over ${transport}`, async () => {
      const socket = await connected(server, { transports: [transport] });
      const answers = Array.from({ length: 20_000 }, (_, i) => socket.timeout(60_000).emitWithAck('message-with-ack', i));
      (await Promise.all(answers)).forEach((answer, i) => assert.equal(answer, i));
    });

    test(`handlers that fail in a full queue are answered over ${transport}`, async () => {
      const socket = await connected(server, { transports: [transport] });
      const answers = Array.from({ length: 400 }, () => socket.timeout(60_000).emitWithAck('emit-much-and-fail'));
      const errors = (await Promise.all(answers)).map((answer) => answer.error);
      assert.ok(errors.every((error) => error === 'failed' || error === 'internal error'));
      assert.ok(errors.includes('internal error'), 'the queue was full at least once');
    });
  }
});

test('a WebSocket that requests 30 000 acks at once gets them in order', async () => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const acks = [];
  const done = new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${acks.length} acks`)));
    socket.on('message', (data) => {
      const text = data.toString();
      if (text.startsWith('0')) socket.send('40');
      else if (text.startsWith('40')) {
        for (let i = 0; i < 30_000; i += 1) socket.send(`42${i}["message-with-ack",${i}]`);
      } else if (text.startsWith('43')) {
        acks.push(text);
        if (acks.length === 30_000) resolve();
      } else if (text === '2') socket.send('3');
    });
  });
  await within(done, 'all acks', 60_000);
  socket.removeAllListeners('close').terminate();
  acks.forEach((ack, i) => assert.equal(ack, `43${i}[${i}]`));
});
