// Notifications that were not handled.

export class Retry extends Error {
  constructor(reason, { afterMs } = {}) {
    super(reason);
    this.name = 'Retry';
    this.afterMs = afterMs;
  }
}

export class Permanent extends Error {
  constructor(reason) {
    super(reason);
    this.name = 'Permanent';
  }
}

// A failure as the contract spells it; nothing if this is none.
export function toContract(failure) {
  if (failure instanceof Retry) {
    return { tag: 'retry', val: { afterMs: failure.afterMs ?? null, reason: failure.message } };
  }
  if (failure instanceof Permanent) {
    return { tag: 'permanent', val: failure.message };
  }
  return undefined;
}
