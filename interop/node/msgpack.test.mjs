// The public client with `socket.io-msgpack-parser`: Node's build and the browser's, over each way to connect.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, afterEach, before, describe, test } from 'node:test';

import parser from 'socket.io-msgpack-parser';

import { client, closeAll, connected, event, join, upgraded } from '../lib/client.mjs';
import { within } from '../lib/raw.mjs';
import { CALM, program, start } from '../lib/server.mjs';

// The encoder and decoder that the parser depends on. The adapters depend on a later version.
const require = createRequire(import.meta.resolve('socket.io-msgpack-parser'));
const PATIENT = { PARSER: 'msgpack', ...CALM };
let server;
before(async () => {
  server = await start(program('CONFORMANCE_SERVER'), PATIENT);
});
after(() => server?.stop());
afterEach(closeAll);

/** The same parser with the encoder and decoder that bundlers select for browsers. */
const encode = require('notepack.io/browser/encode.js');
const decode = require('notepack.io/browser/decode.js');
const browser = {
  protocol: parser.protocol,
  Encoder: class {
    encode(packet) {
      return [Buffer.from(encode(packet))];
    }
  },
  Decoder: class extends parser.Decoder {
    add(message) {
      // `decode` reads the whole ArrayBuffer, which the message may share with other data.
      const decoded = decode(new Uint8Array(message).buffer);
      this.checkPacket(decoded);
      this.emit('decoded', decoded);
    }
  },
};

const BUILDS = { Node: parser, browser };
const WAYS = {
  'polling, then upgrade': { transports: ['polling', 'websocket'] },
  'WebSocket only': { transports: ['websocket'] },
  'polling only': { transports: ['polling'] },
};

for (const [build, parser] of Object.entries(BUILDS)) {
  const bytes = (...items) => (build === 'Node' ? Buffer.from(items) : new Uint8Array(items).buffer);
  for (const [way, options] of Object.entries(WAYS)) {
    describe(`${build}'s build, ${way}`, () => {
      const open = async (more) => {
        const socket = await connected(server, { parser, ...options, ...more });
        if (options.transports.length > 1) await upgraded(socket);
        return socket;
      };

      test('events come back as they were sent', async () => {
        const socket = await open();
        const args = [1, -1, 2 ** 40, 1.5, 'é€😀', null, true, [1, [2]], { a: { b: [] } }, bytes(1, 2, 3), { deep: [bytes()] }];
        socket.emit('message', ...args);
        assert.deepEqual(await event(socket, 'message-back'), args);
      });

      test('values that JSON lacks come back in their JSON form', async () => {
        const socket = await open();
        socket.emit('message', undefined, new Date(1500), { gone: undefined, kept: 1 }, NaN);
        const back = await event(socket, 'message-back');
        assert.deepEqual(back, [null, '1970-01-01T00:00:01.500Z', { kept: 1 }, null]);
      });

      test('acks pass in both directions', async () => {
        const socket = await open();
        const answer = await within(socket.emitWithAck('message-with-ack', 'x', bytes(7)), 'the ack');
        assert.equal(answer, 'x');
        const answered = new Promise((resolve) => {
          socket.on('emit-with-ack', (...args) => {
            const ack = args.at(-1);
            if (typeof ack === 'function') ack('seen', ...args.slice(0, -1));
            else resolve(args);
          });
        });
        socket.emit('emit-with-ack', 1, bytes(2));
        assert.deepEqual(await within(answered, 'the values of the ack'), ['seen', 1, bytes(2)]);
      });

      test('credentials, other namespaces and refusals pass', async () => {
        const first = client(server, { parser, ...options, auth: { token: '123' } });
        assert.deepEqual(await event(first, 'auth'), [{ token: '123' }]);
        const custom = join(first, '/custom', { auth: { n: 1 } });
        assert.deepEqual(await event(custom, 'auth'), [{ n: 1 }]);
        const [error] = await event(join(first, '/random'), 'connect_error');
        assert.equal(error.message, 'Invalid namespace');
      });
    });
  }
}
