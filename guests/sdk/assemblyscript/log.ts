// Lines in the host's log, under the handler's name.

import { Utf8, allocate, logLog, storeText } from "./abi";

export enum Level { Trace, Debug, Info, Warn, Error }

// One named value of a log line.
export class Field {
  constructor(readonly name: string, readonly value: string) {}
}

// Writes one line: a message for people, and values for machines.
export function log(level: Level, message: string, fields: Field[] = []): void {
  const crossing = allocate(16 * fields.length);
  for (let i = 0; i < fields.length; i++) {
    storeText(crossing + 16 * i, fields[i].name);
    storeText(crossing + 16 * i + 8, fields[i].value);
  }
  const utf8 = new Utf8(message);
  logLog(level, utf8.address, utf8.length, crossing, fields.length);
}

export function debug(message: string, fields: Field[] = []): void {
  log(Level.Debug, message, fields);
}

export function info(message: string, fields: Field[] = []): void {
  log(Level.Info, message, fields);
}

export function warn(message: string, fields: Field[] = []): void {
  log(Level.Warn, message, fields);
}

export function error(message: string, fields: Field[] = []): void {
  log(Level.Error, message, fields);
}
