// One state of one object, and what it is called.

import {
  Utf8, answer, objectsGet, objectsGetString, objectsJson, objectsKey, optionalTextAt, textAt,
} from "./abi";

// Names one state of one object.
export class ObjectKey {
  // Empty for the core group.
  group: string;
  version: string;
  kind: string;
  // Null for a cluster-scoped object.
  namespace: string | null;
  name: string;
  uid: string;
  resourceVersion: string;

  constructor(address: usize) {
    this.group = textAt(address);
    this.version = textAt(address + 8);
    this.kind = textAt(address + 16);
    this.namespace = optionalTextAt(address + 24);
    this.name = textAt(address + 36);
    this.uid = textAt(address + 44);
    this.resourceVersion = textAt(address + 52);
  }

  // As in a manifest: `v1`, `apps/v1`.
  get apiVersion(): string {
    return this.group.length == 0 ? this.version : `${this.group}/${this.version}`;
  }

  // `NAMESPACE/NAME`, or `NAME` if it is cluster-scoped.
  toString(): string {
    const namespace = this.namespace;
    return namespace === null ? this.name : `${namespace}/${this.name}`;
  }
}

// Readable until the call returns: keep what was read, never the object. To read a value costs far less than all of
// it.
export class KubernetesObject {
  constructor(readonly ticket: u32, private givenKey: ObjectKey | null = null) {}

  // Name, uid and resource version of this state. Asked for once where the call did not bring it.
  get key(): ObjectKey {
    let key = this.givenKey;
    if (key === null) {
      objectsKey(this.ticket, answer);
      key = new ObjectKey(answer);
      this.givenKey = key;
    }
    return key;
  }

  // The JSON text at a JSON pointer, a string with its quotes; null if there is nothing.
  get(pointer: string): string | null {
    const utf8 = new Utf8(pointer);
    objectsGet(this.ticket, utf8.address, utf8.length, answer);
    return optionalTextAt(answer);
  }

  // The string at a JSON pointer; null if there is nothing, or something else.
  getString(pointer: string): string | null {
    const utf8 = new Utf8(pointer);
    objectsGetString(this.ticket, utf8.address, utf8.length, answer);
    return optionalTextAt(answer);
  }

  // All of it as JSON text.
  json(): string {
    objectsJson(this.ticket, answer);
    return textAt(answer);
  }
}
