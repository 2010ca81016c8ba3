// The module's exports: `export * from "informerd-handler/exports";`.

import "./abort";
import { allocate, freeCall, realloc, storeText } from "./abi";
import { Failure, definedHandler } from "./handler";
import { KubernetesObject, ObjectKey } from "./object";

export { realloc as cabi_realloc };
export {
  freed as cabi_post_watches, freed as cabi_post_init, freed as cabi_post_onAdd, freed as cabi_post_onUpdate,
  freed as cabi_post_onDelete, freed as cabi_post_onSynced,
};

function freed(answer: usize): void {
  freeCall();
}

export function watches(): usize {
  const watches = definedHandler().watches();
  const list = allocate(8);
  const items = allocate(40 * watches.length);
  store<usize>(list, items);
  store<u32>(list, watches.length, 4);
  for (let i = 0; i < watches.length; i++) {
    const watch = watches[i];
    const item = items + 40 * i;
    const names = allocate(8 * watch.namespaces.length);
    for (let n = 0; n < watch.namespaces.length; n++) {
      storeText(names + 8 * n, watch.namespaces[n]);
    }
    storeText(item, watch.apiVersion);
    storeText(item + 8, watch.kind);
    store<usize>(item, names, 16);
    store<u32>(item, watch.namespaces.length, 20);
    storeText(item + 24, watch.labelSelector);
    storeText(item + 32, watch.fieldSelector);
  }
  return list;
}

export function init(): usize {
  const reason = definedHandler().init();
  const answer = allocate(12);
  store<u8>(answer, u8(reason !== null));
  if (reason !== null) {
    storeText(answer + 4, reason);
  }
  return answer;
}

// What these get is one address: the key, and at 60 and 64 two values more.
export function onAdd(call: usize): usize {
  return handled(definedHandler().onAdd(object(call, 60), load<bool>(call, 64)));
}

export function onUpdate(call: usize): usize {
  return handled(definedHandler().onUpdate(new KubernetesObject(load<u32>(call, 60)), object(call, 64)));
}

export function onDelete(call: usize): usize {
  return handled(definedHandler().onDelete(object(call, 60), load<bool>(call, 64)));
}

export function onSynced(): usize {
  return handled(definedHandler().onSynced());
}

function object(call: usize, at: usize): KubernetesObject {
  return new KubernetesObject(load<u32>(call + at), new ObjectKey(call));
}

function handled(failure: Failure | null): usize {
  const answer = allocate(24);
  store<u8>(answer, u8(failure !== null));
  if (failure === null) {
    return answer;
  }
  store<u8>(answer, u8(failure.isPermanent), 4);
  if (failure.isPermanent) {
    storeText(answer + 8, failure.reason);
  } else {
    store<u8>(answer, u8(failure.afterMs >= 0), 8);
    store<u32>(answer, u32(failure.afterMs), 12);
    storeText(answer + 16, failure.reason);
  }
  return answer;
}
