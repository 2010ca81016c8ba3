// One state of one object, and what it is called.

import { objects } from '#host';

export class ObjectKey {
  constructor(key) {
    Object.assign(this, key);
  }

  get apiVersion() {
    return this.group === '' ? this.version : `${this.group}/${this.version}`;
  }

  toString() {
    return this.namespace == null ? this.name : `${this.namespace}/${this.name}`;
  }
}

export class KubernetesObject {
  #ticket;
  #key;

  // `key` if it was given along.
  constructor(ticket, key) {
    this.#ticket = ticket;
    this.#key = key && new ObjectKey(key);
  }

  get key() {
    return (this.#key ??= new ObjectKey(objects.key(this.#ticket)));
  }

  get(pointer) {
    return objects.get(this.#ticket, pointer) ?? undefined;
  }

  getString(pointer) {
    return objects.getString(this.#ticket, pointer) ?? undefined;
  }

  json() {
    return objects.json(this.#ticket);
  }

  parse() {
    return JSON.parse(this.json());
  }
}
