// What a test tells the host of tests, and asks it.

import { KubernetesObject } from './object.js';
import { state } from './testing/host.js';

export function object(value) {
  if (typeof value?.metadata?.name !== 'string') {
    throw new TypeError('the object of a test has a metadata.name');
  }
  state.objects.push(structuredClone(value));
  return new KubernetesObject(state.objects.length - 1);
}

export function setConfig(value) {
  state.config = structuredClone(value);
}

export function takeLog() {
  return state.lines.splice(0);
}
