// The handler spec's `config`. It never changes while an instance lives.

import { Utf8, answer, configGet, configGetString, configJson, optionalTextAt, textAt } from "./abi";

export namespace config {
  // The value of this name as JSON text, a string with its quotes; null if there is none.
  export function get(name: string): string | null {
    const utf8 = new Utf8(name);
    configGet(utf8.address, utf8.length, answer);
    return optionalTextAt(answer);
  }

  // The string of this name; null if there is none, or something else.
  export function getString(name: string): string | null {
    const utf8 = new Utf8(name);
    configGetString(utf8.address, utf8.length, answer);
    return optionalTextAt(answer);
  }

  // All of it as JSON text; `{}` if the handler spec has none.
  export function json(): string {
    configJson(answer);
    return textAt(answer);
  }
}
