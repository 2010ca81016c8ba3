// What is to be reported.

import { config } from 'informerd-handler';

// The apiVersion and kind of what is watched.
export function watched() {
  return {
    apiVersion: config.getString('apiVersion') ?? 'v1',
    kind: config.getString('kind') ?? 'Pod',
  };
}

// `detail` is how much of an object is read, `page` how many objects of the cache at once.
export function readConfig() {
  const { report, detail = 'whole', page = 100 } = config.parse();
  if (!isReport(report)) {
    throw new Error('config.report must be a list of 1 to 16 JSON pointers, for example ["/status/phase"]');
  }
  if (!['key', 'fields', 'whole'].includes(detail)) {
    throw new Error('config.detail must be "key", "fields" or "whole"');
  }
  // A number has no memory of how it was written.
  if (!/^[0-9]+$/.test(config.get('page') ?? '1') || page < 1 || page > PAGE_MAX) {
    throw new Error(`config.page must be a number from 1 to ${PAGE_MAX}`);
  }
  return { report, detail, page };
}

function isReport(value) {
  const isPointer = (it) => typeof it === 'string' && /^\/[^"\\\u0000-\u001f]*$/.test(it);
  return Array.isArray(value) && value.length >= 1 && value.length <= POINTERS_MAX && value.every(isPointer);
}

const POINTERS_MAX = 16;
const PAGE_MAX = 500;
