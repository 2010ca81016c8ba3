// Makes a module of a class: what the contract has a module export.

import { toContract } from './failure.js';
import { KubernetesObject } from './object.js';

export function defineHandler(Handler) {
  checkNames(Handler);
  let instance;
  const notify = (method, ...args) => {
    try {
      synchronous(method, instance[method]?.(...args));
    } catch (error) {
      throw toContract(error) ?? bug(error);
    }
  };
  return {
    watches() {
      return (Handler.watches?.() ?? []).map(watch);
    },
    init() {
      try {
        instance = new Handler();
      } catch (error) {
        throw error instanceof Error ? error.message : String(error);
      }
    },
    onAdd(key, object, isInInitialList) {
      notify('onAdd', new KubernetesObject(object, key), isInInitialList);
    },
    onUpdate(key, old, object) {
      notify('onUpdate', new KubernetesObject(old), new KubernetesObject(object, key));
    },
    onDelete(key, last, finalStateUnknown) {
      notify('onDelete', new KubernetesObject(last, key), finalStateUnknown);
    },
    onSynced() {
      notify('onSynced');
    },
  };
}

function watch({ apiVersion, kind, namespaces = [], labelSelector = '', fieldSelector = '' }) {
  return { apiVersion, kind, namespaces, labelSelector, fieldSelector };
}

// Nobody waits for a promise: what it would do never happens.
function synchronous(method, result) {
  if (typeof result?.then === 'function') {
    throw new TypeError(`${method} gave back a promise: it must not be async`);
  }
}

// An error that is none of the contract's ends the instance, and its stack is in the host's log.
function bug(error) {
  return error instanceof Error ? error : new Error(String(error));
}

const METHODS = ['onAdd', 'onUpdate', 'onDelete', 'onSynced'];

// This runs when the module is built, so that is where a misspelt method is told of.
function checkNames(Handler) {
  const names = Object.getOwnPropertyNames(Handler.prototype);
  const unknown = names.find((name) => /^on(_|[A-Z])/.test(name) && !METHODS.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`${Handler.name}.${unknown} is never called: a handler has ${METHODS.join(', ')}`);
  }
}
