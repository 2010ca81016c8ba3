// Says one half of a character of UTF-16, and other text that is easily lost.

import { Failure, Handler, KubernetesObject, Watch, cache, defineHandler, info } from "../../../sdk/assemblyscript";

export * from "../../../sdk/assemblyscript/exports";

class Half extends Handler {
  watches(): Watch[] {
    const watch = new Watch("apps/v1", "Deployment");
    watch.namespaces = ["a", "ü"];
    watch.labelSelector = "app=web";
    return [watch];
  }

  onAdd(object: KubernetesObject, isInInitialList: bool): Failure | null {
    const name = object.key.name;
    info(name.slice(0, 1));
    info(name.slice(1));
    info(`${name}\u0000${object.key}`);
    return Failure.retry(name.slice(0, 1));
  }

  onUpdate(old: KubernetesObject, object: KubernetesObject): Failure | null {
    const pages = cache.list("v1", "Node").pageSize(2);
    let sizes = "";
    while (pages.next()) {
      sizes += ` ${pages.objects.length}`;
    }
    const wrong = cache.list("v1", "Node").labels("a=b");
    const next = wrong.next();
    const found = cache.get("v1", "Node", null, "n-2");
    info(`${sizes} ${next} ${wrong.error!} ${found!.key.resourceVersion} ${cache.get("v1", "Node", "a", "n-2") === null}`);
    return null;
  }
}

defineHandler(new Half());
