// Write handlers for informerd in JavaScript: a class, and `defineHandler` makes a module of it. What it all means is
// in index.d.ts; the order of calls, and what can be relied on, in the contract, wit/handler.wit.

export { defineHandler } from './handler.js';
export { Permanent, Retry } from './failure.js';
export { KubernetesObject, ObjectKey } from './object.js';
export * as cache from './cache.js';
export * as config from './config.js';
export { debug, error, info, log, trace, warn } from './log.js';
