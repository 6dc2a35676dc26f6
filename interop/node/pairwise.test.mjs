// The selection of test cases.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pairwise } from '../lib/pairwise.mjs';

const FACTORS = { version: ['2', '3', '4'], transport: ['polling', 'websocket', 'upgrade'], encoding: ['binary', 'base64'], build: ['a', 'b'] };

test('each pair of values occurs in a selected case', () => {
  const cases = pairwise(FACTORS);
  for (const [one, values] of Object.entries(FACTORS)) {
    for (const [other, others] of Object.entries(FACTORS).filter(([name]) => name !== one)) {
      for (const value of values) {
        for (const second of others) {
          assert.ok(cases.some((each) => each[one] === value && each[other] === second), `${value} with ${second}`);
        }
      }
    }
  }
});

test('few cases suffice, and they are the same each time', () => {
  const cases = pairwise(FACTORS);
  assert.ok(cases.length <= 10, `${cases.length} of 36 cases`);
  assert.deepEqual(pairwise(FACTORS), cases);
});
