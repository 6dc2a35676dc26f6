// What typed events are exported as is an AsyncAPI document, as the parser of its makers understands it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { Parser } from '@asyncapi/parser';

import { program } from '../lib/server.mjs';

const text = execFileSync(program('CONTRACT_PRINTER'), { encoding: 'utf8' });
const parse = (document) => new Parser().parse(document);

test('the parser finds nothing to complain about', async () => {
  const { document, diagnostics } = await parse(text);
  // That there is a later version of AsyncAPI is no fault.
  const faults = diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version');
  assert.deepEqual(faults, []);
  assert.equal(document.info().title(), 'Chat');
});

test('channels are namespaces, operations are events', async () => {
  const { document } = await parse(text);
  const channels = document.channels().all();
  assert.deepEqual(channels.map((it) => it.address()), ['/', '/files/2']);
  const operations = document.operations().all();
  const seen = operations.map((it) => {
    const [message] = it.messages().all();
    return [it.action(), it.channels().all()[0].address(), message.name(), Boolean(it.reply())];
  });
  assert.deepEqual(seen, [
    ['receive', '/', 'say', true],
    ['receive', '/', 'user is typing…', false],
    ['send', '/', 'said', false],
    ['send', '/', 'alive?', true],
    ['receive', '/files/2', 'upload', true],
    ['send', '/files/2', 'user is typing…', false],
  ]);
});

test('types refer to one schema, also to themselves', async () => {
  const { document } = await parse(text);
  const schemas = document.components().schemas();
  assert.equal(schemas.get('Message').properties().text.type(), 'string');
  const [said] = document.operations().all()[2].messages().all();
  assert.equal(said.payload().items()[0].properties().text.type(), 'string');
});

test('the parser would complain', async () => {
  const { diagnostics } = await parse(text.replaceAll('"action": "send"', '"action": "shout"'));
  assert.ok(diagnostics.some(({ severity }) => severity === 0));
});
