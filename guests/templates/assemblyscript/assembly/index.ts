// Says hello to pods, and tells of their phases.

import { Failure, Handler, KubernetesObject, Watch, config, defineHandler, info } from "informerd-handler";

export * from "informerd-handler/exports";

class Greeter extends Handler {
  private greeting: string = "hello";

  watches(): Watch[] {
    return [new Watch("v1", "Pod")];
  }

  init(): string | null {
    const greeting = config.getString("greeting");
    if (greeting !== null) {
      this.greeting = greeting;
    }
    return null;
  }

  onAdd(pod: KubernetesObject, isInInitialList: bool): Failure | null {
    info(`${this.greeting} ${pod.key}`);
    return null;
  }

  onUpdate(old: KubernetesObject, pod: KubernetesObject): Failure | null {
    const before = old.getString("/status/phase");
    const after = pod.getString("/status/phase");
    if (before != after) {
      info(`${pod.key} is ${after === null ? "without a phase" : after}`);
    }
    return null;
  }
}

defineHandler(new Greeter());
