// What `informerd-handler` makes of a class, seen from the host's side.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { cache, config, defineHandler, Permanent, Retry } from '../../../sdk/javascript/index.js';
import { object, setConfig } from '../../../sdk/javascript/testing.js';
import { objects, state } from '../../../sdk/javascript/testing/host.js';

beforeEach(() => {
  state.objects.length = 0;
  setConfig({});
});

const manifest = (name, rest) => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, ...rest } });

// What the host calls, for the first object of the test.
function started(onAdd) {
  class Handler {}
  Handler.prototype.onAdd = onAdd;
  const handler = defineHandler(Handler);
  handler.init();
  return () => handler.onAdd(objects.key(0), 0, false);
}

const thrownBy = (call) => {
  try {
    call();
  } catch (error) {
    return error;
  }
};

test('failures are answered as the contract spells them', () => {
  object(manifest('a'));
  const failing = (failure) => thrownBy(started(() => { throw failure; }));
  assert.deepEqual(failing(new Retry('later')), { tag: 'retry', val: { afterMs: null, reason: 'later' } });
  assert.deepEqual(failing(new Retry('soon', { afterMs: 5 })), { tag: 'retry', val: { afterMs: 5, reason: 'soon' } });
  assert.deepEqual(failing(new Permanent('never')), { tag: 'permanent', val: 'never' });
});

test('what else is thrown is an error, and no answer of the contract', () => {
  object(manifest('a'));
  for (const thrown of [new TypeError('a bug'), 'a bug', { tag: 'permanent', val: 'a bug' }, undefined]) {
    const error = thrownBy(started(() => { throw thrown; }));
    assert.ok(error instanceof Error, `${error}`);
    assert.equal(error.tag, undefined);
  }
  assert.match(thrownBy(started(async () => {})).message, /must not be async/);
});

test('a configuration is refused with a text', () => {
  const refusing = (thrown) => {
    const handler = defineHandler(class { constructor() { throw thrown; } });
    return thrownBy(() => handler.init());
  };
  assert.equal(refusing(new Error('config.a must be a number')), 'config.a must be a number');
  assert.equal(refusing('no'), 'no');
});

test('a method that is never called is told of when the module is built', () => {
  assert.throws(() => defineHandler(class Greeter { onAdded() {} }), /Greeter.onAdded is never called/);
  defineHandler(class { once() {} });
});

test('watches are complete, and may be left to the handler spec', () => {
  assert.deepEqual(defineHandler(class {}).watches(), []);
  const { watches } = defineHandler(class {
    static watches = () => [{ apiVersion: 'v1', kind: 'Pod', labelSelector: 'app=web' }];
  });
  const all = { namespaces: [], labelSelector: 'app=web', fieldSelector: '' };
  assert.deepEqual(watches(), [{ apiVersion: 'v1', kind: 'Pod', ...all }]);
});

test('values are read by pointers', () => {
  const it = object(manifest('a', { annotations: { 'example.com/a~b': '1', n: 1 }, list: [null] }));
  assert.equal(it.get('/metadata/annotations/example.com~1a~0b'), '"1"');
  assert.equal(it.getString('/metadata/annotations/example.com~1a~0b'), '1');
  assert.equal(it.get('/metadata/list/0'), 'null');
  assert.equal(it.get('/metadata/list/1'), undefined);
  assert.equal(it.getString('/metadata/annotations/n'), undefined);
  assert.deepEqual(it.parse(), JSON.parse(it.get('')));
  assert.equal(`${it.key} ${it.key.apiVersion}`, 'a apps/v1');
  setConfig({ 'a/b': 'c' });
  assert.equal(config.getString('a/b'), 'c');
});

test('the cache is gone through in pages, and has the newest state of each object', () => {
  for (const [name, resourceVersion] of [['b', '1'], ['a', '1'], ['c', '1'], ['b', '2']]) {
    object(manifest(name, { namespace: 'n', resourceVersion }));
  }
  const pages = [...cache.list('apps/v1', 'Deployment', { namespace: 'n', pageSize: 2 })];
  assert.deepEqual(pages.map((page) => page.map((it) => it.key.name)), [['a', 'b'], ['c']]);
  assert.equal(cache.get('apps/v1', 'Deployment', 'n', 'b').key.resourceVersion, '2');
  assert.equal(cache.get('apps/v1', 'Deployment', 'n', 'd'), undefined);
  assert.ok(thrownBy(() => cache.listByIndex('v1', 'Pod', 'owner', 'u').next()) instanceof Permanent);
});
