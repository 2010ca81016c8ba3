import assert from 'node:assert/strict';
import { test } from 'node:test';
import { object, setConfig, takeLog } from 'informerd-handler/testing';
import { Greeter } from '../src/handler.ts';

const pod = (phase: string) =>
  object({ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'demo', name: 'web-1' }, status: { phase } });

const said = () => takeLog().map((line) => line.message);

test('a pod is greeted and followed', () => {
  const greeter = new Greeter();
  greeter.onAdd(pod('Pending'), false);
  greeter.onUpdate(pod('Pending'), pod('Pending'));
  greeter.onUpdate(pod('Pending'), pod('Running'));
  assert.deepEqual(said(), ['hello demo/web-1', 'demo/web-1 is Running']);
});

test('the greeting can be configured', () => {
  setConfig({ greeting: 'moin' });
  new Greeter().onAdd(pod('Pending'), true);
  assert.deepEqual(said(), ['moin demo/web-1']);
});
