// The host's cache: other objects than the one that a call is about.

import { cache } from '#host';
import { Permanent } from './failure.js';
import { KubernetesObject } from './object.js';

export function get(apiVersion, kind, namespace, name) {
  const ticket = cache.get(apiVersion, kind, namespace ?? null, name);
  return ticket == null ? undefined : new KubernetesObject(ticket);
}

export function list(apiVersion, kind, { namespace, labelSelector = '', pageSize = 0 } = {}) {
  return pages((cursor) =>
    cache.listObjects(apiVersion, kind, namespace ?? null, labelSelector, pageSize, cursor));
}

export function listByIndex(apiVersion, kind, index, value, { pageSize = 0 } = {}) {
  return pages((cursor) => cache.listByIndex(apiVersion, kind, index, value, pageSize, cursor));
}

// A page's tickets are given back when the next one is asked for, or the loop is left.
function* pages(ask) {
  let cursor = null;
  do {
    const page = answerOf(() => ask(cursor));
    try {
      yield page.objects.map((ticket) => new KubernetesObject(ticket));
    } finally {
      cache.release(page.objects);
    }
    cursor = page.cursor ?? null;
  } while (cursor !== null);
}

// The cache's errors are about the question: asking the same again would not help.
function answerOf(ask) {
  try {
    return ask();
  } catch (error) {
    throw new Permanent(String(error?.payload ?? error));
  }
}
