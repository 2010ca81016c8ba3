// The audit trail, module and all. That it is the same in every language is shown by the conformance suite.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Host } from '../../../sdk/assemblyscript/testing.js';

const MODULE = '../../../target/modules/audit_assemblyscript.wasm';
const REPORT = { report: ['/spec/a', '/spec/ü'] };

const pod = (resourceVersion, spec = {}, metadata = {}) => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'demo', name: 'web', uid: 'u', resourceVersion, ...metadata }, spec,
});
const asked = (request) => pod('7', {}, { annotations: { 'audit.informerd.dev/fail': request } });

function audit(config = {}) {
  const host = new Host(MODULE, { ...REPORT, ...config });
  assert.deepEqual(host.takeLog().map((line) => line.message), ['ready']);
  return host;
}

test('values and labels are written, and what changed', () => {
  const host = audit();
  const old = host.object(pod('1', { a: 1 }, { labels: { 'a:b': '":,\\', b: '' } }));
  const object = host.object(pod('2', { a: 1, ü: ['é'] }));
  host.onAdd(old, true);
  host.onUpdate(old, object);
  const [added, updated] = host.takeLog();
  const fields = { initial: 'true', labels: '2', '/spec/a': '1', '/spec/ü': 'absent' };
  assert.deepEqual({ ...added.fields, ...fields }, added.fields);
  assert.equal(updated.message, 'updated demo/web');
  assert.deepEqual([updated.fields['/spec/ü'], updated.fields['/spec/a']], ['absent -> ["é"]', undefined]);
});

test('it is newest only if the cache has the same state', () => {
  const host = audit();
  const [old, object] = [host.object(pod('1')), host.object(pod('2'))];
  host.onUpdate(old, object);
  host.object(pod('3'));
  host.onUpdate(old, object);
  assert.deepEqual(host.takeLog().map((line) => line.fields.newest), ['true', 'false']);
});

test('it fails as it is asked to', () => {
  const host = audit();
  const retried = host.object(asked('retry 1'));
  assert.deepEqual(host.onDelete(retried), { retry: 'asked to fail, 1 of 1', afterMs: 1 });
  assert.equal(host.onDelete(retried, true), undefined);
  assert.deepEqual(host.onAdd(host.object(asked('permanent'))), { permanent: 'asked to fail for good' });
  assert.equal(host.onAdd(host.object(asked('retry 0'))), undefined);
  assert.throws(() => host.onAdd(host.object(asked('trap'))), /asked to trap in assembly\/failing\.ts:\d+/);
});

test('an error of the cache is a permanent failure', () => {
  const host = audit({ labelSelector: 'a=b' });
  assert.deepEqual(host.onSynced(), { permanent: 'the host of tests knows no selectors' });
});

test('a configuration that will not do is refused', () => {
  const refuses = (config, field) => assert.throws(() => new Host(MODULE, config), new RegExp(`^Error: config\\.${field} `));
  for (const report of [undefined, '/a', [], [1], [''], ['a'], ['/"'], ['/\\'], [['/a']], ['/a', null], ['/a","b']]) {
    refuses({ report }, 'report');
  }
  refuses({ ...REPORT, detail: 'all' }, 'detail');
  for (const page of [0, 501, 1.5, '2', -1, 1e21]) {
    refuses({ ...REPORT, page }, 'page');
  }
});
