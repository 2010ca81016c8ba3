// Failing on request, so that one can see what the host makes of it.

import { Failure, KubernetesObject } from "../../../sdk/assemblyscript";

export class Failing {
  // The state that was failed last, and how often.
  private uid: string = "";
  private resourceVersion: string = "";
  private times: i32 = 0;

  // Fails as the object's annotation asks for.
  check(object: KubernetesObject): Failure | null {
    const request = object.getString("/metadata/annotations/audit.informerd.dev~1fail");
    if (request === null) {
      return null;
    }
    if (request == "permanent") {
      return Failure.permanent("asked to fail for good");
    }
    if (request == "trap") {
      throw new Error("asked to trap");
    }
    const digit = request.length == 7 && request.startsWith("retry ") ? request.charCodeAt(6) - 0x30 : 0;
    return digit >= 1 && digit <= 9 ? this.retry(object, digit) : null;
  }

  private retry(object: KubernetesObject, times: i32): Failure | null {
    const key = object.key;
    if (this.uid != key.uid || this.resourceVersion != key.resourceVersion) {
      this.uid = key.uid;
      this.resourceVersion = key.resourceVersion;
      this.times = 0;
    }
    if (this.times == times) {
      return null;
    }
    this.times += 1;
    return Failure.retryAfter(1, `asked to fail, ${this.times} of ${times}`);
  }
}
