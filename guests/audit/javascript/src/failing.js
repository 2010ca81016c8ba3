// Failing on request, so that one can see what the host makes of it.

import { Permanent, Retry } from 'informerd-handler';

export class Failing {
  // The state that was failed last, and how often.
  #uid;
  #resourceVersion;
  #times = 0;

  // Fails as the object's annotation asks for.
  check(object) {
    const request = object.getString('/metadata/annotations/audit.informerd.dev~1fail');
    if (request === 'permanent') {
      throw new Permanent('asked to fail for good');
    }
    if (request === 'trap') {
      throw new Error('asked to trap');
    }
    const times = request?.match(/^retry ([1-9])$/)?.[1];
    if (times !== undefined) {
      this.#retry(object.key, Number(times));
    }
  }

  #retry({ uid, resourceVersion }, times) {
    if (this.#uid !== uid || this.#resourceVersion !== resourceVersion) {
      this.#uid = uid;
      this.#resourceVersion = resourceVersion;
      this.#times = 0;
    }
    if (this.#times < times) {
      this.#times += 1;
      throw new Retry(`asked to fail, ${this.#times} of ${times}`, { afterMs: 1 });
    }
  }
}
