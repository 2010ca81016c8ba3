/**
 * Write handlers for informerd in JavaScript and TypeScript.
 *
 * ```js
 * import { defineHandler, info } from 'informerd-handler';
 *
 * class Phases {
 *   static watches() {
 *     return [{ apiVersion: 'v1', kind: 'Pod' }];
 *   }
 *
 *   onUpdate(old, pod) {
 *     const [before, after] = [old.getString('/status/phase'), pod.getString('/status/phase')];
 *     if (before !== after) {
 *       info(`${pod.key} is ${after}`);
 *     }
 *   }
 * }
 *
 * export const handler = defineHandler(Phases);
 * ```
 *
 * The order of calls, and what can be relied on, is in the contract, `wit/handler.wit`; what is said here is what is
 * different in JavaScript. In Node.js, `informerd-handler/testing` is the host.
 */

/** What the module has to export by the name of `handler`. */
export interface HandlerModule {
  watches(): unknown;
  init(): void;
}

/**
 * Makes a module of a class. Handlers are told synchronously: what a promise would do later never happens, so a
 * method that returns one is a bug.
 *
 * A module is started when it is built, up to its first export: what stands outside of functions runs then, without
 * a host.
 */
export function defineHandler(Handler: HandlerClass): HandlerModule;

/** A class of handlers: each instance of the module makes one of it. */
export interface HandlerClass {
  /** The configuration can be read here. What is thrown refuses it, and its message says why. */
  new (): Handler;
  /** Nothing leaves it to the handler spec. */
  watches?(): Watch[];
}

/**
 * What a handler is told; what is not there is ignored. `Retry` and `Permanent` are thrown if a notification was not
 * handled. Everything else that is thrown is a bug: it is logged, and costs the instance.
 */
export interface Handler {
  onAdd?(object: KubernetesObject, isInInitialList: boolean): void;
  onUpdate?(old: KubernetesObject, object: KubernetesObject): void;
  onDelete?(last: KubernetesObject, finalStateUnknown: boolean): void;
  onSynced?(): void;
}

/** One collection of objects. Only `apiVersion` and `kind` are needed. */
export interface Watch {
  /** As in a manifest: `v1`, `apps/v1`. */
  apiVersion: string;
  kind: string;
  /** All of them if empty. */
  namespaces?: string[];
  labelSelector?: string;
  fieldSelector?: string;
}

/** Deliver this state, or a newer one, again; without `afterMs` the host says when. */
export class Retry extends Error {
  constructor(reason: string, options?: { afterMs?: number });
  readonly afterMs: number | undefined;
}

/** Do not deliver this state again. */
export class Permanent extends Error {
  constructor(reason: string);
}

/** What one state of an object is called. As text it is `NAMESPACE/NAME`, or `NAME` if it is cluster-scoped. */
export class ObjectKey {
  private constructor();
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** As in a manifest: `v1`, `apps/v1`. */
  readonly apiVersion: string;
  toString(): string;
}

/**
 * One state of one object. It can be read during the call that brought it, and costs the instance if it is read
 * later: keep what was read, or the `key`.
 *
 * The text stays in the host until it is asked for, and a value at a pointer costs far less than all of it.
 */
export class KubernetesObject {
  private constructor();
  /** Name, uid and resource version of this state. */
  readonly key: ObjectKey;
  /** The JSON text at a JSON pointer, a string with its quotes. */
  get(pointer: string): string | undefined;
  /** The string at a JSON pointer; nothing if there is something else. */
  getString(pointer: string): string | undefined;
  /** All of it as JSON text. */
  json(): string;
  /** All of it. Your type is taken at its word. */
  parse<T = any>(): T;
}

/** The host's cache: other objects than the one that a call is about. What can be read stands in `wit/cache.wit`. */
export namespace cache {
  /** The object of this name; no `namespace` for a cluster-scoped one. */
  function get(
    apiVersion: string,
    kind: string,
    namespace: string | null | undefined,
    name: string,
  ): KubernetesObject | undefined;

  /**
   * The objects of a kind, by namespace and name, in pages. A page can be read until the next one is asked for, so that
   * a call can go through any number of objects. An error of the cache is thrown as `Permanent`.
   */
  function list(apiVersion: string, kind: string, options?: ListOptions): Generator<KubernetesObject[], void>;

  /** The objects of a kind under one value of an index: `namespace`, or `owner` with a uid. */
  function listByIndex(
    apiVersion: string,
    kind: string,
    index: string,
    value: string,
    options?: PageOptions,
  ): Generator<KubernetesObject[], void>;

  interface PageOptions {
    /** At most so many a page; 500 unless told, and never more. */
    pageSize?: number;
  }

  interface ListOptions extends PageOptions {
    /** All of them unless told. */
    namespace?: string | null;
    labelSelector?: string;
  }
}

/** The handler spec's `config`. It never changes while an instance lives. */
export namespace config {
  /** The value of this name as JSON text, a string with its quotes. */
  function get(name: string): string | undefined;
  /** The string of this name; nothing if there is something else. */
  function getString(name: string): string | undefined;
  /** All of it as JSON text; `{}` if the handler spec has none. */
  function json(): string;
  /** All of it. Your type is taken at its word. */
  function parse<T = any>(): T;
}

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** Named values of a line, for machines. */
export type Fields = Record<string, unknown>;

/** Writes one line in the host's log, under the handler's name. */
export function log(level: Level, message: string, fields?: Fields): void;
export function trace(message: string, fields?: Fields): void;
export function debug(message: string, fields?: Fields): void;
export function info(message: string, fields?: Fields): void;
export function warn(message: string, fields?: Fields): void;
export function error(message: string, fields?: Fields): void;
