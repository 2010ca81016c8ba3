// The host's cache: other objects than the one that a call is about. What can be read, and how stale it may be, stands in
// the contract (wit/cache.wit).

import {
  Utf8, answer, cacheGet, cacheListByIndex, cacheListObjects, cacheRelease, optionalTextAt, textAt,
} from "./abi";
import { KubernetesObject } from "./object";

export namespace cache {
  // The object of this name; `namespace` is null for a cluster-scoped one.
  export function get(
    apiVersion: string, kind: string, namespace: string | null, name: string
  ): KubernetesObject | null {
    const ofApiVersion = new Utf8(apiVersion);
    const ofKind = new Utf8(kind);
    const ofNamespace = new Utf8(namespace === null ? "" : namespace);
    const ofName = new Utf8(name);
    cacheGet(
      ofApiVersion.address, ofApiVersion.length, ofKind.address, ofKind.length,
      u32(namespace !== null), ofNamespace.address, ofNamespace.length, ofName.address, ofName.length,
      answer);
    return load<u8>(answer) == 0 ? null : new KubernetesObject(load<u32>(answer, 4));
  }

  // The objects of a kind; narrow it down before the first page is asked for.
  export function list(apiVersion: string, kind: string): Pages {
    return new Pages(apiVersion, kind);
  }
}

// The pages of a list. The objects of one cannot be read any more when the next is asked for: so a call can go through
// any number of them.
//
//     const pages = cache.list("v1", "Pod").labels("app=web");
//     while (pages.next()) {
//       pages.objects
//     }
//     if (pages.error !== null) …
export class Pages {
  // Of the page that was asked for last.
  objects: KubernetesObject[] = [];
  // What is wrong with the question; then there are no more pages.
  error: string | null = null;

  private namespace: string | null = null;
  private labelSelector: string = "";
  private index: string | null = null;
  private indexed: string = "";
  private limit: u32 = 0;
  private cursor: string | null = null;
  private ended: bool = false;
  private tickets: usize = 0;

  constructor(private apiVersion: string, private kind: string) {}

  // Only those in a namespace.
  inNamespace(name: string): this {
    this.namespace = name;
    return this;
  }

  // Only those that a Kubernetes label selector selects.
  labels(selector: string): this {
    this.labelSelector = selector;
    return this;
  }

  // Instead of both: those under one value of an index, `namespace`, or `owner` with a uid.
  byIndex(index: string, value: string): this {
    this.index = index;
    this.indexed = value;
    return this;
  }

  // At most so many a page; 500 unless told, and never more.
  pageSize(objects: u32): this {
    this.limit = objects;
    return this;
  }

  // Asks for the next page; false after the last, and after an error.
  next(): bool {
    cacheRelease(this.tickets, this.objects.length);
    this.objects = [];
    if (this.ended) {
      return false;
    }
    this.ask();
    if (load<u8>(answer) != 0) {
      this.error = textAt(answer + 4);
      this.ended = true;
      return false;
    }
    this.tickets = load<usize>(answer, 4);
    const count = load<i32>(answer, 8);
    this.cursor = optionalTextAt(answer + 12);
    this.ended = this.cursor === null;
    for (let i = 0; i < count; i++) {
      this.objects.push(new KubernetesObject(load<u32>(this.tickets + 4 * i)));
    }
    return true;
  }

  private ask(): void {
    const apiVersion = new Utf8(this.apiVersion);
    const kind = new Utf8(this.kind);
    const after = this.cursor;
    const cursor = new Utf8(after === null ? "" : after);
    const index = this.index;
    if (index !== null) {
      const name = new Utf8(index);
      const value = new Utf8(this.indexed);
      cacheListByIndex(
        apiVersion.address, apiVersion.length, kind.address, kind.length,
        name.address, name.length, value.address, value.length,
        this.limit, u32(after !== null), cursor.address, cursor.length, answer);
      return;
    }
    const within = this.namespace;
    const namespace = new Utf8(within === null ? "" : within);
    const selector = new Utf8(this.labelSelector);
    cacheListObjects(
      apiVersion.address, apiVersion.length, kind.address, kind.length,
      u32(within !== null), namespace.address, namespace.length, selector.address, selector.length,
      this.limit, u32(after !== null), cursor.address, cursor.length, answer);
  }
}
