// The handler spec's `config`. It never changes while an instance lives.

import { config } from '#host';

export function get(name) {
  return config.get(name) ?? undefined;
}

export function getString(name) {
  return config.getString(name) ?? undefined;
}

export function json() {
  return config.json();
}

export function parse() {
  return JSON.parse(config.json());
}
