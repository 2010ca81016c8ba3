// Says hello to pods, and tells of their phases.

import { config, defineHandler, info } from 'informerd-handler';

export class Greeter {
  #greeting = config.getString('greeting') ?? 'hello';

  static watches() {
    return [{ apiVersion: 'v1', kind: 'Pod' }];
  }

  onAdd(pod, isInInitialList) {
    info(`${this.#greeting} ${pod.key}`);
  }

  onUpdate(old, pod) {
    const before = old.getString('/status/phase');
    const after = pod.getString('/status/phase');
    if (before !== after) {
      info(`${pod.key} is ${after ?? 'without a phase'}`);
    }
  }
}

export const handler = defineHandler(Greeter);
