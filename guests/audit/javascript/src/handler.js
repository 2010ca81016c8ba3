// The audit trail in JavaScript, as ../README.md describes it. `config.js` reads what is to be reported, `failing.js`
// fails on request, this file writes the trail.

import { cache, config, debug, defineHandler, info } from 'informerd-handler';
import { readConfig, watched } from './config.js';
import { Failing } from './failing.js';

class Audit {
  #config = readConfig();
  #failing = new Failing();
  // Lines written.
  #seq = 0;

  static watches() {
    return [watched()];
  }

  constructor() {
    const { report, page } = this.#config;
    debug('ready', { pointers: report.length, page });
  }

  onAdd(object, isInInitialList) {
    this.#failOnRequest(object);
    const fields = { ...this.#names(object), initial: isInInitialList };
    info(`added ${object.key}`, { ...fields, ...this.#whole(object), ...this.#values(object) });
  }

  onUpdate(old, object) {
    this.#failOnRequest(object);
    const { detail } = this.#config;
    const fields = this.#names(object);
    if (detail === 'whole') {
      fields.newest = isNewest(object);
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

  onDelete(last, finalStateUnknown) {
    this.#failOnRequest(last);
    const fields = { ...this.#names(last), finalStateUnknown };
    info(`deleted ${last.key}`, { ...fields, ...this.#whole(last), ...this.#values(last) });
  }

  onSynced() {
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

  #failOnRequest(object) {
    if (this.#config.detail !== 'key') {
      this.#failing.check(object);
    }
  }

  // What every line about an object begins with.
  #names({ key: { uid, resourceVersion } }) {
    return { seq: this.#nextSeq(), uid, resourceVersion };
  }

  #nextSeq() {
    this.#seq += 1;
    return this.#seq;
  }

  #whole(object) {
    if (this.#config.detail !== 'whole') {
      return {};
    }
    const json = object.json();
    const labels = JSON.parse(json).metadata.labels ?? {};
    return { bytes: byteLength(json), labels: Object.keys(labels).length };
  }

  #values(object) {
    return Object.fromEntries(this.#pointers().map((pointer) => [pointer, shown(object.get(pointer))]));
  }

  // What is read of each object.
  #pointers() {
    const { detail, report } = this.#config;
    return detail === 'key' ? [] : report;
  }
}

// Whether the cache has no other state of the object by now.
function isNewest({ key: { apiVersion, kind, namespace, name, resourceVersion } }) {
  const cached = cache.get(apiVersion, kind, namespace, name);
  return cached?.key.resourceVersion === resourceVersion;
}

// A value as it is written: longer ones are only measured.
function shown(value = 'absent') {
  const bytes = byteLength(value);
  return bytes > VALUE_MAX ? `(${bytes} bytes)` : value;
}

// In UTF-8. QuickJS has no TextEncoder, and its regular expressions are faster than a loop over characters.
function byteLength(text) {
  let bytes = text.length;
  for (const [character] of text.matchAll(/[^\x00-\x7f]/gu)) {
    bytes += character > '\u07ff' ? 2 : 1;
  }
  return bytes;
}

const VALUE_MAX = 256;

export const handler = defineHandler(Audit);
