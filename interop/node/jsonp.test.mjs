// JSONP polling with raw requests, and with a client of revision 3 in the parts of an old browser that it needs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import vm from 'node:vm';

import engineOfV3 from 'engine.io-client-v3';

import { event } from '../lib/client.mjs';
import { Endpoint } from '../lib/raw.mjs';
import { CALM, program, start } from '../lib/server.mjs';

let server;
before(async () => {
  server = await start(program('CONFORMANCE_SERVER'), { ...CALM, ALLOW_EIO3: '1' });
});
after(() => server?.stop());

/** Text that could break scripts, forms and lines: quotes, backslashes, JavaScript's line ends, written escapes, tags. */
const TEXT = '"\\\\n\\n\n\u2028\u2029\'</script>é😀%26+&d=';

test('raw requests of revision 4 echo text', async () => {
  const engine = new Endpoint(server, '/engine.io/');
  const opened = await engine.request(`${engine.polling}&j=7`);
  assert.equal(opened.headers.get('content-type'), 'text/javascript; charset=UTF-8');
  const { sid } = JSON.parse(called(opened.body, 7).slice(1));
  const escaped = TEXT.replace(/\\n/g, '\\\n').replace(/\n/g, '\\n');
  const pushed = await engine.push(sid, new URLSearchParams({ d: `4${escaped}` }));
  assert.deepEqual([pushed.status, pushed.body], [200, 'ok']);
  const polled = await engine.poll(sid);
  assert.match(polled.body, /^___eio\[7\]\(".*\\u2028\\u2029.*"\);$/);
  assert.equal(called(polled.body, 7), `4${TEXT}`);
});

test('a client with only scripts and forms exchanges events', async () => {
  globalThis.document = new Document();
  const socket = engineOfV3(server.url, { path: '/engine.io', transports: ['polling'], upgrade: false, forceJSONP: true });
  await event(socket, 'open');
  assert.equal(socket.transport.constructor.name, 'JSONPPolling');
  socket.send(TEXT);
  assert.deepEqual(await event(socket, 'message'), [TEXT]);
  socket.send(Buffer.from([0, 1, 255]));
  const [bytes] = await event(socket, 'message');
  assert.deepEqual([...new Uint8Array(bytes)], [0, 1, 255]);
  const closed = event(socket, 'close');
  socket.close();
  await closed;
});

/** The argument that a script passes to its callback. */
function called(script, j) {
  const seen = [];
  vm.runInNewContext(script, { ___eio: { [j]: (payload) => seen.push(payload) } });
  assert.equal(seen.length, 1);
  return seen[0];
}

/** The parts of a browser that the client uses. An inserted script is loaded and run, and a form is sent. */
class Document {
  head = new Element();
  body = new Element();

  createElement(tag) {
    // Browsers refuse markup here. The client tries it for Internet Explorer.
    if (!/^\w+$/.test(tag)) throw new Error(`no tag: ${tag}`);
    return tag === 'script' ? new Script() : new Element();
  }

  getElementsByTagName() {
    return [];
  }
}

class Element {
  style = {};
  children = [];

  setAttribute() {}

  appendChild(child) {
    child.parentNode = this;
    this.children.push(child);
    child.inserted?.();
  }

  removeChild(child) {
    this.children = this.children.filter((one) => one !== child);
  }

  /** Sends the field of a form as browsers encode it. The response goes to the frame that is the form's last child by then. */
  async submit() {
    const [{ name, value }] = this.children;
    const body = new URLSearchParams({ [name]: value.replace(/\r?\n/g, '\r\n') });
    const response = await fetch(this.action, { method: 'POST', body }).catch(() => undefined);
    // The server may stop before it responds to the form with which the client closes its session.
    await response?.text().catch(() => {});
    this.children.at(-1).onload();
  }
}

class Script extends Element {
  async inserted() {
    try {
      const response = await fetch(this.src);
      vm.runInThisContext(await response.text());
    } catch (error) {
      this.onerror(error);
    }
  }
}
