// Reports the labels of config maps.
import {
  Call, Level, aborted, freeAll, get, log, ok, permanent, realloc, watchAll,
} from "./informerd";

export { realloc as cabi_realloc };

export function watches(): usize {
  return watchAll("v1", "ConfigMap");
}

export function init(): usize {
  return ok();
}

export function onAdd(address: usize): usize {
  const call = new Call(address);
  log(Level.Info, "added " + name(call) + " " + labels(call.object));
  return answer(call.object);
}

export function onUpdate(address: usize): usize {
  const call = new Call(address);
  const now = labels(call.newObject);
  if (labels(call.object) != now) {
    log(Level.Info, "relabelled " + name(call) + " " + now);
  }
  return answer(call.newObject);
}

export function onDelete(address: usize): usize {
  log(Level.Info, "deleted " + name(new Call(address)));
  freeAll();
  return ok();
}

export function onSynced(): usize {
  log(Level.Info, "synced");
  return ok();
}

function name(call: Call): string {
  const namespace = call.namespace;
  return namespace === null ? call.name : namespace + "/" + call.name;
}

function labels(object: u32): string {
  const labels = get(object, "/metadata/labels");
  return labels === null ? "none" : labels;
}

// Fine, unless the label `fail` says how to fail.
function answer(object: u32): usize {
  const fail = get(object, "/metadata/labels/fail");
  freeAll();
  if (fail !== null && fail == '"permanent"') {
    return permanent("asked to fail");
  }
  if (fail !== null && fail == '"trap"') {
    throw new Error("asked to trap");
  }
  return ok();
}

// For `--use abort=labels/abort`.
function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  aborted(message, file, line);
}
