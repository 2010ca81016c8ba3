// What a handler does.

import { KubernetesObject } from "./object";

// One collection of objects that a handler watches: all of a kind, unless it is narrowed down.
export class Watch {
  // Empty: all of them, or a cluster-scoped kind.
  namespaces: string[] = [];
  labelSelector: string = "";
  fieldSelector: string = "";

  constructor(readonly apiVersion: string, readonly kind: string) {}
}

// A notification that was not handled. AssemblyScript has no exceptions: it is returned.
export class Failure {
  private constructor(readonly isPermanent: bool, readonly reason: string, readonly afterMs: i64) {}

  // Deliver this state, or a newer one, again; the host says when.
  static retry(reason: string): Failure {
    return new Failure(false, reason, -1);
  }

  // The same, after so many milliseconds.
  static retryAfter(milliseconds: u32, reason: string): Failure {
    return new Failure(false, reason, milliseconds);
  }

  // Do not deliver this state again.
  static permanent(reason: string): Failure {
    return new Failure(true, reason, -1);
  }
}

// Each method is one call of the host; they never overlap. State is the handler's own: fields of the class. What is not
// overridden is handled by doing nothing.
export class Handler {
  // Empty leaves it to the handler spec. It may read the configuration.
  watches(): Watch[] {
    return [];
  }

  // Once in each instance, after `watches`: the place to read the configuration. A text refuses it, and says why.
  init(): string | null {
    return null;
  }

  // The object appeared, or was there when the handler joined.
  onAdd(object: KubernetesObject, isInInitialList: bool): Failure | null {
    return null;
  }

  // The object changed, from the state that was handled last. On a periodic resync both are the same state.
  onUpdate(old: KubernetesObject, object: KubernetesObject): Failure | null {
    return null;
  }

  // The object is gone; this was its last known state, unless the deletion was missed.
  onDelete(last: KubernetesObject, finalStateUnknown: bool): Failure | null {
    return null;
  }

  // Every object that was there when the handler joined has been handled, or has failed for good.
  onSynced(): Failure | null {
    return null;
  }
}

let defined: Handler | null = null;

// Once, at the top level: `defineHandler(new Greeter())`. The host is not there yet when the constructor runs.
export function defineHandler(handler: Handler): void {
  defined = handler;
}

export function definedHandler(): Handler {
  const handler = defined;
  if (handler === null) {
    throw new Error("no handler: the module's top level must call defineHandler");
  }
  return handler;
}
