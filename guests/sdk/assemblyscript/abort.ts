// For `asc --use abort=…`: what was thrown, or failed, is printed on standard error, so that it becomes the reason of the
// failed delivery. The instance is lost.

import { allocate, fdWrite, storeText } from "./abi";

export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  let text = message === null ? "aborted" : message;
  if (file !== null) {
    text += ` in ${file}:${line}:${column}`;
  }
  const written = allocate(12);
  storeText(written + 4, text + "\n");
  fdWrite(2, written + 4, 1, written);
  unreachable();
}
