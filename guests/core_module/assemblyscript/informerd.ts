// The contract (wit/) in AssemblyScript: the canonical ABI, with the short names of
// wit/CORE-MODULES.md. To be copied into a project of your own.

// What the host passes: allocated before a call and during it, free after it.
const given: usize[] = [];

export function realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  const block = heap.alloc(size);
  memory.copy(block, old, oldSize);
  given.push(block);
  return block;
}

// To be called when what the host has passed is not needed any more.
export function freeAll(): void {
  while (given.length > 0) {
    heap.free(given.pop());
  }
}

// A text of the contract: address and length.
function textAt(address: usize): string {
  return String.UTF8.decodeUnsafe(load<usize>(address), load<usize>(address, 4));
}

// The other direction; what is stored stays alive here until the same place is stored to again.
const kept = new Map<usize, ArrayBuffer>();

function storeText(address: usize, text: string): void {
  const utf8 = String.UTF8.encode(text);
  kept.set(address, utf8);
  store<usize>(address, changetype<usize>(utf8));
  store<usize>(address, utf8.byteLength, 4);
}

// What on-add, on-update and on-delete get: an address.
export class Call {
  constructor(private at: usize) {}

  get namespace(): string | null {
    return load<u8>(this.at, 24) == 0 ? null : textAt(this.at + 28);
  }
  get name(): string {
    return textAt(this.at + 36);
  }
  // The object that is added, the old state, or the last one.
  get object(): u32 {
    return load<u32>(this.at, 60);
  }
  // The new state of an update.
  get newObject(): u32 {
    return load<u32>(this.at, 64);
  }
  // Is in the initial list; or final state unknown.
  get flag(): bool {
    return load<bool>(this.at, 64);
  }
}

@external("objects", "get")
declare function objectsGet(ticket: u32, pointer: usize, length: usize, answer: usize): void;
@external("log", "log")
declare function logLog(
  level: i32, message: usize, length: usize, fields: usize, count: usize
): void;

const optionalText = memory.data(12);

// The value at a JSON pointer as JSON text.
export function get(ticket: u32, pointer: string): string | null {
  const utf8 = String.UTF8.encode(pointer);
  objectsGet(ticket, changetype<usize>(utf8), utf8.byteLength, optionalText);
  return load<u8>(optionalText) == 0 ? null : textAt(optionalText + 4);
}

export enum Level { Trace, Debug, Info, Warn, Error }

export function log(level: Level, message: string): void {
  const utf8 = String.UTF8.encode(message);
  logLog(level, changetype<usize>(utf8), utf8.byteLength, 0, 0);
}

// A module that ends with `abort` says why in the log.
export function aborted(message: string | null, file: string | null, line: u32): void {
  const text = message === null ? "aborted" : message;
  log(Level.Error, file === null ? text : text + " in " + file + ":" + line.toString());
  unreachable();
}

const watchList = memory.data(8);
const watch = memory.data(40);

// The answer of `watches`: all objects of one kind.
export function watchAll(apiVersion: string, kind: string): usize {
  storeText(watch, apiVersion);
  storeText(watch + 8, kind);
  store<usize>(watchList, watch);
  store<u32>(watchList, 1, 4);
  return watchList;
}

const result = memory.data(24);

// The answers of the others.
export function ok(): usize {
  store<u8>(result, 0);
  return result;
}

export function permanent(reason: string): usize {
  store<u8>(result, 1);
  store<u8>(result, 1, 4);
  storeText(result + 8, reason);
  return result;
}

export function retry(reason: string): usize {
  store<u8>(result, 1);
  store<u8>(result, 0, 4);
  store<u8>(result, 0, 8);
  storeText(result + 16, reason);
  return result;
}
