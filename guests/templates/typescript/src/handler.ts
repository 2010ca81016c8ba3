// Says hello to pods, and tells of their phases.

import { config, defineHandler, type Handler, info, type KubernetesObject, type Watch } from 'informerd-handler';

export class Greeter implements Handler {
  readonly #greeting = config.getString('greeting') ?? 'hello';

  static watches(): Watch[] {
    return [{ apiVersion: 'v1', kind: 'Pod' }];
  }

  onAdd(pod: KubernetesObject, isInInitialList: boolean): void {
    info(`${this.#greeting} ${pod.key}`);
  }

  onUpdate(old: KubernetesObject, pod: KubernetesObject): void {
    const before = old.getString('/status/phase');
    const after = pod.getString('/status/phase');
    if (before !== after) {
      info(`${pod.key} is ${after ?? 'without a phase'}`);
    }
  }
}

export const handler = defineHandler(Greeter);
