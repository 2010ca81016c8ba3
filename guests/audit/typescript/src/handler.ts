// The audit trail in TypeScript, as ../README.md describes it. `config.ts` reads what is to be reported, `failing.ts`
// fails on request, this file writes the trail.

import {
  cache,
  config,
  debug,
  defineHandler,
  type Fields,
  type Handler,
  info,
  type KubernetesObject,
  type Watch,
} from 'informerd-handler';
import { readConfig, watched } from './config.ts';
import { Failing } from './failing.ts';

class Audit implements Handler {
  readonly #config = readConfig();
  readonly #failing = new Failing();
  /** Lines written. */
  #seq = 0;

  static watches(): Watch[] {
    return [watched()];
  }

  constructor() {
    const { report, page } = this.#config;
    debug('ready', { pointers: report.length, page });
  }

  onAdd(object: KubernetesObject, isInInitialList: boolean): void {
    this.#failOnRequest(object);
    const fields = { ...this.#names(object), initial: isInInitialList };
    info(`added ${object.key}`, { ...fields, ...this.#whole(object), ...this.#values(object) });
  }

  onUpdate(old: KubernetesObject, object: KubernetesObject): void {
    this.#failOnRequest(object);
    const { detail } = this.#config;
    const fields = this.#names(object);
    if (detail === 'whole') {
      fields['newest'] = isNewest(object);
    }
    Object.assign(fields, this.#whole(object));
    let hasChanged = detail === 'key';
    for (const pointer of this.#pointers()) {
      const [before, after] = [old.get(pointer), object.get(pointer)];
      if (before !== after) {
        fields[pointer] = `${shown(before)} -> ${shown(after)}`;
        hasChanged = true;
      }
    }
    if (hasChanged) {
      info(`updated ${object.key}`, fields);
    } else {
      debug(`unchanged ${object.key}`, fields);
    }
  }

  onDelete(last: KubernetesObject, finalStateUnknown: boolean): void {
    this.#failOnRequest(last);
    const fields = { ...this.#names(last), finalStateUnknown };
    info(`deleted ${last.key}`, { ...fields, ...this.#whole(last), ...this.#values(last) });
  }

  onSynced(): void {
    const { apiVersion, kind } = watched();
    let objects = 0;
    let pages = 0;
    const labelSelector = config.getString('labelSelector') ?? '';
    for (const page of cache.list(apiVersion, kind, { labelSelector, pageSize: this.#config.page })) {
      objects += page.length;
      pages += 1;
    }
    info('synced', { seq: this.#nextSeq(), objects, pages });
  }

  #failOnRequest(object: KubernetesObject): void {
    if (this.#config.detail !== 'key') {
      this.#failing.check(object);
    }
  }

  /** What every line about an object begins with. */
  #names({ key: { uid, resourceVersion } }: KubernetesObject): Fields {
    return { seq: this.#nextSeq(), uid, resourceVersion };
  }

  #nextSeq(): number {
    this.#seq += 1;
    return this.#seq;
  }

  #whole(object: KubernetesObject): Fields {
    if (this.#config.detail !== 'whole') {
      return {};
    }
    const json = object.json();
    const { metadata } = JSON.parse(json) as { metadata: { labels?: Record<string, string> | null } };
    return { bytes: byteLength(json), labels: Object.keys(metadata.labels ?? {}).length };
  }

  #values(object: KubernetesObject): Fields {
    return Object.fromEntries(this.#pointers().map((pointer) => [pointer, shown(object.get(pointer))]));
  }

  /** What is read of each object. */
  #pointers(): string[] {
    const { detail, report } = this.#config;
    return detail === 'key' ? [] : report;
  }
}

/** Whether the cache has no other state of the object by now. */
function isNewest({ key }: KubernetesObject): boolean {
  const cached = cache.get(key.apiVersion, key.kind, key.namespace, key.name);
  return cached?.key.resourceVersion === key.resourceVersion;
}

/** A value as it is written: longer ones are only measured. */
function shown(value = 'absent'): string {
  const bytes = byteLength(value);
  return bytes > VALUE_MAX ? `(${bytes} bytes)` : value;
}

/** In UTF-8. QuickJS has no TextEncoder, and its regular expressions are faster than a loop over characters. */
function byteLength(text: string): number {
  let bytes = text.length;
  for (const [character] of text.matchAll(/[^\x00-\x7f]/gu)) {
    bytes += character > '\u07ff' ? 2 : 1;
  }
  return bytes;
}

const VALUE_MAX = 256;

export const handler = defineHandler(Audit);
