// What is to be reported.

import { config, type Watch } from 'informerd-handler';

export interface Config {
  /** JSON pointers. */
  report: string[];
  detail: Detail;
  /** Objects of the cache at once. */
  page: number;
}

/** How much of an object is read. */
export type Detail = (typeof DETAILS)[number];

/** The apiVersion and kind of what is watched. */
export function watched(): Watch {
  return {
    apiVersion: config.getString('apiVersion') ?? 'v1',
    kind: config.getString('kind') ?? 'Pod',
  };
}

export function readConfig(): Config {
  const { report, detail = 'whole', page = 100 } = config.parse<Record<keyof Config, unknown>>();
  if (!isReport(report)) {
    throw new Error('config.report must be a list of 1 to 16 JSON pointers, for example ["/status/phase"]');
  }
  if (!isDetail(detail)) {
    throw new Error('config.detail must be "key", "fields" or "whole"');
  }
  if (!isPage(page)) {
    throw new Error(`config.page must be a number from 1 to ${PAGE_MAX}`);
  }
  return { report, detail, page };
}

function isReport(value: unknown): value is string[] {
  const isPointer = (it: unknown) => typeof it === 'string' && /^\/[^"\\\u0000-\u001f]*$/.test(it);
  return Array.isArray(value) && value.length >= 1 && value.length <= POINTERS_MAX && value.every(isPointer);
}

function isDetail(value: unknown): value is Detail {
  return DETAILS.some((it) => it === value);
}

function isPage(value: unknown): value is number {
  // A number has no memory of how it was written.
  const isDecimal = /^[0-9]+$/.test(config.get('page') ?? '100');
  return isDecimal && typeof value === 'number' && value >= 1 && value <= PAGE_MAX;
}

const DETAILS = ['key', 'fields', 'whole'] as const;
const POINTERS_MAX = 16;
const PAGE_MAX = 500;
