import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Host } from 'informerd-handler/testing';

const MODULE = 'handlers/{{name}}.wasm';

const pod = (phase) =>
  ({ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'demo', name: 'web-1' }, status: { phase } });

const said = (host) => host.takeLog().map((line) => line.message);

test('a pod is greeted and followed', () => {
  const host = new Host(MODULE);
  host.onAdd(host.object(pod('Pending')));
  host.onUpdate(host.object(pod('Pending')), host.object(pod('Pending')));
  host.onUpdate(host.object(pod('Pending')), host.object(pod('Running')));
  assert.deepEqual(said(host), ['hello demo/web-1', 'demo/web-1 is Running']);
});

test('the greeting can be configured', () => {
  const host = new Host(MODULE, { greeting: 'moin' });
  host.onAdd(host.object(pod('Pending')), true);
  assert.deepEqual(said(host), ['moin demo/web-1']);
});
