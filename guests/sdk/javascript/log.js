// Lines in the host's log, under the handler's name.

import { log as host } from '#host';

export function log(level, message, fields = {}) {
  const pairs = Object.entries(fields).map(([name, value]) => ({ name, value: String(value) }));
  host.log(level, String(message), pairs);
}

export const trace = (message, fields) => log('trace', message, fields);
export const debug = (message, fields) => log('debug', message, fields);
export const info = (message, fields) => log('info', message, fields);
export const warn = (message, fields) => log('warn', message, fields);
export const error = (message, fields) => log('error', message, fields);
