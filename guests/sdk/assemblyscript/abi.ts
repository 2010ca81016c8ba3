// The contract (wit/) as it crosses: the layouts and names of wit/CORE-MODULES.md. All that the host gives stays
// until the call is over.

// What the host passed, before the call and in it, and what it is answered.
const blocks: usize[] = [];

export function allocate(size: usize): usize {
  const block = heap.alloc(size);
  blocks.push(block);
  return block;
}

// The host never makes a block larger, and aligns to 4 at most.
export function realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  return allocate(size);
}

// When the host has read the answer.
export function freeCall(): void {
  while (blocks.length > 0) {
    heap.free(blocks.pop());
  }
}

// A text of the contract: address and number of bytes.
export function textAt(address: usize): string {
  return String.UTF8.decodeUnsafe(load<usize>(address), load<usize>(address, 4));
}

export function optionalTextAt(address: usize): string | null {
  return load<u8>(address) == 0 ? null : textAt(address + 4);
}

// The other direction. Half a character of UTF-16 is no UTF-8: it becomes U+FFFD.
export function storeText(address: usize, text: string): void {
  const utf8 = new Utf8(text);
  store<usize>(address, utf8.address);
  store<usize>(address, utf8.length, 4);
}

// A text that is passed; it stays until the call is over.
export class Utf8 {
  address: usize;
  length: usize;

  constructor(text: string) {
    const utf16 = changetype<usize>(text);
    // At most three bytes for each unit.
    this.address = allocate(3 * text.length);
    this.length = String.UTF8.encodeUnsafe(
      utf16, text.length, this.address, false, String.UTF8.ErrorMode.REPLACE);
  }
}

// Where the host puts what it answers: the largest is a page or an error.
export const answer = memory.data(64);

// @ts-ignore: decorator
@external("objects", "key")
export declare function objectsKey(ticket: u32, answer: usize): void;
// @ts-ignore: decorator
@external("objects", "get")
export declare function objectsGet(ticket: u32, pointer: usize, length: usize, answer: usize): void;
// @ts-ignore: decorator
@external("objects", "get-string")
export declare function objectsGetString(ticket: u32, pointer: usize, length: usize, answer: usize): void;
// @ts-ignore: decorator
@external("objects", "json")
export declare function objectsJson(ticket: u32, answer: usize): void;
// @ts-ignore: decorator
@external("config", "get")
export declare function configGet(name: usize, length: usize, answer: usize): void;
// @ts-ignore: decorator
@external("config", "get-string")
export declare function configGetString(name: usize, length: usize, answer: usize): void;
// @ts-ignore: decorator
@external("config", "json")
export declare function configJson(answer: usize): void;
// @ts-ignore: decorator
@external("log", "log")
export declare function logLog(level: i32, message: usize, length: usize, fields: usize, count: usize): void;
// @ts-ignore: decorator
@external("cache", "get")
export declare function cacheGet(
  apiVersion: usize, apiVersionLength: usize, kind: usize, kindLength: usize,
  hasNamespace: u32, namespace: usize, namespaceLength: usize, name: usize, nameLength: usize,
  answer: usize): void;
// @ts-ignore: decorator
@external("cache", "list-objects")
export declare function cacheListObjects(
  apiVersion: usize, apiVersionLength: usize, kind: usize, kindLength: usize,
  hasNamespace: u32, namespace: usize, namespaceLength: usize, labelSelector: usize, labelSelectorLength: usize,
  limit: u32, hasCursor: u32, cursor: usize, cursorLength: usize, answer: usize): void;
// @ts-ignore: decorator
@external("cache", "list-by-index")
export declare function cacheListByIndex(
  apiVersion: usize, apiVersionLength: usize, kind: usize, kindLength: usize,
  index: usize, indexLength: usize, value: usize, valueLength: usize,
  limit: u32, hasCursor: u32, cursor: usize, cursorLength: usize, answer: usize): void;
// @ts-ignore: decorator
@external("cache", "release")
export declare function cacheRelease(tickets: usize, count: usize): void;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_write")
export declare function fdWrite(file: u32, texts: usize, count: usize, written: usize): u32;
