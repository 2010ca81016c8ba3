// The SDK between a module and the host of tests.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Host } from '../../../sdk/assemblyscript/testing.js';

const HALF = '../../../target/tools/assemblyscript-0.28.20/half.wasm';

const named = (name, metadata = {}) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name, ...metadata } });
const said = (host) => host.takeLog().map((line) => line.message);

test('half a character becomes the replacement character, whole ones stay', () => {
  const host = new Host(HALF);
  const answer = host.onAdd(host.object(named('\u{1F600}')));
  assert.deepEqual(said(host), ['\uFFFD', '\uFFFD', '\u{1F600}\0\u{1F600}']);
  assert.deepEqual(answer, { retry: '\uFFFD' });
});

test('watches cross whole', () => {
  const watch = { apiVersion: 'apps/v1', kind: 'Deployment', namespaces: ['a', 'ü'] };
  assert.deepEqual(new Host(HALF).watches, [{ ...watch, labelSelector: 'app=web', fieldSelector: '' }]);
});

test('the cache is asked by name, page by page, and for what it does not know', () => {
  const host = new Host(HALF);
  const nodes = ['n-1', 'n-2', 'n-3'].map((name, i) => host.object(named(name, { resourceVersion: `${i}` })));
  assert.equal(host.onUpdate(nodes[0], nodes[1]), undefined);
  assert.deepEqual(said(host), [' 2 1 false the host of tests knows no selectors 1 true']);
});

test('what a call has used is free after it', () => {
  const host = new Host(HALF);
  const long = host.object(named('é'.repeat(500_000)));
  const pages = () => host.memoryBytes;
  for (let i = 0; i < 5; i += 1) {
    host.onAdd(long);
  }
  const before = pages();
  for (let i = 0; i < 50; i += 1) {
    host.onAdd(long);
  }
  assert.equal(pages(), before);
});
