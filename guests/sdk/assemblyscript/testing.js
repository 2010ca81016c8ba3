// The host of tests: it calls the module itself, in Node.js, as the host does.
//
//     const host = new Host('build/handler.wasm');
//     host.onAdd(host.object({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' } }));
//     assert.equal(host.takeLog()[0].message, 'hello web');
//
// It is simpler than the real one: values are spelled as JSON.stringify spells them, its cache knows every object that the
// test has made, the newest of a name last, and selectors and indices are answered with an error. What it must be
// exact about, the real host shows: `informerd dev`.

import { readFileSync } from 'node:fs';

export class Host {
  // What the module watches.
  watches;
  #exports;
  #config;
  // By ticket.
  #objects = [];
  #log = [];
  #printed = '';

  // Begins an instance. Throws if it refuses its configuration.
  constructor(file, config = {}) {
    this.#config = config;
    const module = new WebAssembly.Module(readFileSync(file));
    this.#exports = new WebAssembly.Instance(module, this.#imports()).exports;
    this.#exports._initialize();
    this.watches = this.#call('watches', (at) => this.#list(at, 40).map((watch) => ({
      apiVersion: this.#text(watch),
      kind: this.#text(watch + 8),
      namespaces: this.#list(watch + 16, 8).map((name) => this.#text(name)),
      labelSelector: this.#text(watch + 24),
      fieldSelector: this.#text(watch + 32),
    })));
    const refusal = this.#call('init', (at) => this.#optional(at));
    if (refusal !== undefined) {
      throw new Error(refusal);
    }
  }

  // An object to be told of; it is in the cache from now on.
  object(object) {
    return this.#objects.push(structuredClone(object)) - 1;
  }

  // These give undefined if it was handled, `{ retry, afterMs }` or `{ permanent }` with the reason if not, and throw if it
  // traps, what was printed first.
  onAdd(object, isInInitialList = false) {
    return this.#notify('onAdd', object, object, Number(isInInitialList));
  }

  onUpdate(old, object) {
    return this.#notify('onUpdate', object, old, object);
  }

  onDelete(last, finalStateUnknown = false) {
    return this.#notify('onDelete', last, last, Number(finalStateUnknown));
  }

  onSynced() {
    return this.#call('onSynced', (at) => this.#handled(at));
  }

  // What was logged since the last time, oldest first: `{ level, message, fields }`.
  takeLog() {
    return this.#log.splice(0);
  }

  // How much memory the module has; it never becomes less.
  get memoryBytes() {
    return this.#exports.memory.buffer.byteLength;
  }

  #notify(name, ticket, first, second) {
    const call = this.#allocate(68);
    this.#storeKey(call, this.#objects[ticket]);
    this.#setU32(call + 60, first);
    this.#setU32(call + 64, second);
    return this.#call(name, (at) => this.#handled(at), call);
  }

  #call(name, read, ...parameters) {
    this.#printed = '';
    let at;
    try {
      at = this.#exports[name](...parameters);
    } catch (trap) {
      throw new Error(this.#printed.trim() || 'it trapped', { cause: trap });
    }
    const answer = read(at);
    this.#exports[`cabi_post_${name}`](at);
    return answer;
  }

  #handled(at) {
    if (this.#u8(at) === 0) {
      return undefined;
    }
    if (this.#u8(at + 4) === 1) {
      return { permanent: this.#text(at + 8) };
    }
    const after = this.#u8(at + 8) === 0 ? {} : { afterMs: this.#u32(at + 12) };
    return { retry: this.#text(at + 16), ...after };
  }

  #imports() {
    const text = (address, length) => this.#decode(address, length);
    const answerText = (at, value) => this.#storeOptional(at, value);
    const read = (ticket) => {
      if (this.#objects[ticket] === undefined) {
        throw new Error(`${ticket} is no ticket`);
      }
      return this.#objects[ticket];
    };
    const spelled = (value) => (value === undefined ? undefined : JSON.stringify(value));
    const string = (value) => (typeof value === 'string' ? value : undefined);
    return {
      objects: {
        key: (ticket, at) => this.#storeKey(at, read(ticket)),
        get: (ticket, pointer, length, at) =>
          answerText(at, spelled(valueAt(read(ticket), text(pointer, length)))),
        'get-string': (ticket, pointer, length, at) =>
          answerText(at, string(valueAt(read(ticket), text(pointer, length)))),
        json: (ticket, at) => this.#storeText(at, JSON.stringify(read(ticket))),
      },
      config: {
        get: (name, length, at) => answerText(at, spelled(this.#config[text(name, length)])),
        'get-string': (name, length, at) => answerText(at, string(this.#config[text(name, length)])),
        json: (at) => this.#storeText(at, JSON.stringify(this.#config)),
      },
      log: {
        log: (level, message, length, fields, count) => {
          const places = Array.from({ length: count }, (_, i) => fields + 16 * i);
          const pairs = places.map((at) => [this.#text(at), this.#text(at + 8)]);
          const line = { message: text(message, length), fields: Object.fromEntries(pairs) };
          this.#log.push({ level: LEVELS[level], ...line });
        },
      },
      cache: {
        get: (version, versionLength, kind, kindLength, isNamespaced, namespace, namespaceLength, name, nameLength, at) => {
          const wanted = isNamespaced ? text(namespace, namespaceLength) : undefined;
          const found = this.#cached(text(version, versionLength), text(kind, kindLength)).find(
            ({ metadata }) => metadata.name === text(name, nameLength) && metadata.namespace === wanted);
          this.#setU32(at, Number(found !== undefined));
          this.#setU32(at + 4, this.#objects.indexOf(found));
        },
        'list-objects': (
          version, versionLength, kind, kindLength, isNamespaced, namespace, namespaceLength, selector, selectorLength,
          limit, isAfter, cursor, cursorLength, at
        ) => {
          if (selectorLength > 0) {
            return this.#storeError(at, 'the host of tests knows no selectors');
          }
          const wanted = text(namespace, namespaceLength);
          const all = this.#cached(text(version, versionLength), text(kind, kindLength)).filter(
            ({ metadata }) => !isNamespaced || metadata.namespace === wanted);
          const begin = isAfter ? Number(text(cursor, cursorLength)) : 0;
          const end = begin + Math.min(limit || 500, 500);
          return this.#storePage(at, all.slice(begin, end), end < all.length ? String(end) : undefined);
        },
        'list-by-index': (...parameters) =>
          this.#storeError(parameters.at(-1), 'the host of tests knows no indices'),
        release: () => {},
      },
      wasi_snapshot_preview1: {
        fd_write: (_file, texts, count) => {
          for (let i = 0; i < count; i += 1) {
            this.#printed += this.#text(texts + 8 * i);
          }
          return 0;
        },
      },
    };
  }

  // The newest object of each name of one kind, in the order of names.
  #cached(apiVersion, kind) {
    const ofKind = this.#objects.filter((it) => it.apiVersion === apiVersion && it.kind === kind);
    const name = ({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`;
    const newest = new Map(ofKind.map((object) => [name(object), object]));
    return [...newest.keys()].sort().map((key) => newest.get(key));
  }

  #allocate(size) {
    return this.#exports.cabi_realloc(0, 0, 4, size);
  }

  // Memory may have grown since the last time.
  get #view() {
    return new DataView(this.#exports.memory.buffer);
  }

  #u8(at) {
    return this.#view.getUint8(at);
  }

  #u32(at) {
    return this.#view.getUint32(at, true);
  }

  #setU32(at, value) {
    this.#view.setUint32(at, value, true);
  }

  #decode(address, length) {
    return UTF8.decode(new Uint8Array(this.#exports.memory.buffer, address, length));
  }

  #text(at) {
    return this.#decode(this.#u32(at), this.#u32(at + 4));
  }

  #optional(at) {
    return this.#u8(at) === 0 ? undefined : this.#text(at + 4);
  }

  #list(at, size) {
    const begin = this.#u32(at);
    return Array.from({ length: this.#u32(at + 4) }, (_, i) => begin + size * i);
  }

  #storeText(at, text) {
    const utf8 = new TextEncoder().encode(text);
    const block = this.#allocate(utf8.length);
    new Uint8Array(this.#exports.memory.buffer).set(utf8, block);
    this.#setU32(at, block);
    this.#setU32(at + 4, utf8.length);
  }

  #storeOptional(at, text) {
    this.#setU32(at, Number(text !== undefined));
    this.#storeText(at + 4, text ?? '');
  }

  #storeKey(at, { apiVersion = '', kind = '', metadata = {} }) {
    const [version, group = ''] = apiVersion.split('/').reverse();
    [group, version, kind].forEach((text, i) => this.#storeText(at + 8 * i, text));
    this.#storeOptional(at + 24, metadata.namespace);
    const { name = '', uid = '', resourceVersion = '' } = metadata;
    [name, uid, resourceVersion].forEach((text, i) => this.#storeText(at + 36 + 8 * i, text));
  }

  #storePage(at, objects, cursor) {
    const tickets = this.#allocate(4 * objects.length);
    objects.forEach((object, i) => this.#setU32(tickets + 4 * i, this.#objects.indexOf(object)));
    this.#setU32(at, 0);
    this.#setU32(at + 4, tickets);
    this.#setU32(at + 8, objects.length);
    this.#storeOptional(at + 12, cursor);
  }

  #storeError(at, problem) {
    this.#setU32(at, 1);
    this.#storeText(at + 4, problem);
  }
}

function valueAt(value, pointer) {
  if (pointer !== '' && !pointer.startsWith('/')) {
    return undefined;
  }
  const steps = pointer.split('/').slice(1).map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const member = (it, step) => (it !== null && typeof it === 'object' && Object.hasOwn(it, step) ? it[step] : undefined);
  return steps.reduce(member, value);
}

// Text that is not UTF-8 traps, as in the real host.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];
