// The audit trail in AssemblyScript, as ../../README.md describes it. `config.ts` reads what is to be reported, `failing.ts`
// fails on request, this file writes the trail.

import {
  Failure, Field, Handler, KubernetesObject, Level, Watch, cache, config, debug, defineHandler, info, log,
} from "../../../sdk/assemblyscript";
import { Config, Detail, apiVersion, kind } from "./config";
import { Failing } from "./failing";

export * from "../../../sdk/assemblyscript/exports";

class Audit extends Handler {
  private config: Config = new Config();
  private failing: Failing = new Failing();
  // Lines written.
  private seq: u32 = 0;

  watches(): Watch[] {
    return [new Watch(apiVersion(), kind())];
  }

  init(): string | null {
    const problem = this.config.read();
    if (problem === null) {
      debug("ready", [
        new Field("pointers", this.config.report.length.toString()),
        new Field("page", this.config.page.toString()),
      ]);
    }
    return problem;
  }

  onAdd(object: KubernetesObject, isInInitialList: bool): Failure | null {
    const failure = this.failOnRequest(object);
    if (failure !== null) {
      return failure;
    }
    const fields = this.fields(object);
    fields.push(new Field("initial", isInInitialList.toString()));
    this.addWhole(fields, object);
    this.addValues(fields, object);
    info(`added ${object.key}`, fields);
    return null;
  }

  onUpdate(old: KubernetesObject, object: KubernetesObject): Failure | null {
    const failure = this.failOnRequest(object);
    if (failure !== null) {
      return failure;
    }
    const fields = this.fields(object);
    if (this.config.detail == Detail.Whole) {
      fields.push(new Field("newest", isNewest(object).toString()));
    }
    this.addWhole(fields, object);
    let hasChanged = this.config.detail == Detail.Key;
    const pointers = this.config.pointersRead();
    for (let i = 0; i < pointers.length; i++) {
      const before = old.get(pointers[i]);
      const after = object.get(pointers[i]);
      if (before != after) {
        fields.push(new Field(pointers[i], `${shown(before)} -> ${shown(after)}`));
        hasChanged = true;
      }
    }
    if (hasChanged) {
      info(`updated ${object.key}`, fields);
    } else {
      debug(`unchanged ${object.key}`, fields);
    }
    return null;
  }

  onDelete(last: KubernetesObject, finalStateUnknown: bool): Failure | null {
    const failure = this.failOnRequest(last);
    if (failure !== null) {
      return failure;
    }
    const fields = this.fields(last);
    fields.push(new Field("finalStateUnknown", finalStateUnknown.toString()));
    this.addWhole(fields, last);
    this.addValues(fields, last);
    info(`deleted ${last.key}`, fields);
    return null;
  }

  onSynced(): Failure | null {
    const labelSelector = config.getString("labelSelector");
    const pages = cache.list(apiVersion(), kind()).pageSize(this.config.page);
    if (labelSelector !== null) {
      pages.labels(labelSelector);
    }
    let objects = 0;
    let count = 0;
    while (pages.next()) {
      objects += pages.objects.length;
      count += 1;
    }
    const error = pages.error;
    if (error !== null) {
      return Failure.permanent(error);
    }
    log(Level.Info, "synced", [
      new Field("seq", this.nextSeq()),
      new Field("objects", objects.toString()),
      new Field("pages", count.toString()),
    ]);
    return null;
  }

  private failOnRequest(object: KubernetesObject): Failure | null {
    return this.config.detail == Detail.Key ? null : this.failing.check(object);
  }

  // What every line about an object begins with.
  private fields(object: KubernetesObject): Field[] {
    const key = object.key;
    return [
      new Field("seq", this.nextSeq()),
      new Field("uid", key.uid),
      new Field("resourceVersion", key.resourceVersion),
    ];
  }

  private nextSeq(): string {
    this.seq += 1;
    return this.seq.toString();
  }

  private addWhole(fields: Field[], object: KubernetesObject): void {
    if (this.config.detail != Detail.Whole) {
      return;
    }
    fields.push(new Field("bytes", String.UTF8.byteLength(object.json()).toString()));
    fields.push(new Field("labels", members(object.get("/metadata/labels")).toString()));
  }

  private addValues(fields: Field[], object: KubernetesObject): void {
    const pointers = this.config.pointersRead();
    for (let i = 0; i < pointers.length; i++) {
      fields.push(new Field(pointers[i], shown(object.get(pointers[i]))));
    }
  }
}

// Whether the cache has no other state of the object by now.
function isNewest(object: KubernetesObject): bool {
  const key = object.key;
  const cached = cache.get(key.apiVersion, key.kind, key.namespace, key.name);
  return cached !== null && cached.key.resourceVersion == key.resourceVersion;
}

// How many members an object of strings has: each has one colon outside of strings.
function members(json: string | null): i32 {
  let count = 0;
  let isInString = false;
  for (let i = 0, length = json === null ? 0 : json.length; i < length; i++) {
    const unit = json!.charCodeAt(i);
    if (unit == 0x22 /* " */) {
      isInString = !isInString;
    } else if (unit == 0x5c /* \ */) {
      i += 1;
    } else if (unit == 0x3a /* : */ && !isInString) {
      count += 1;
    }
  }
  return count;
}

// A value as it is written: longer ones are only measured.
function shown(value: string | null): string {
  if (value === null) {
    return "absent";
  }
  const bytes = String.UTF8.byteLength(value);
  return bytes > VALUE_MAX ? `(${bytes} bytes)` : value;
}

const VALUE_MAX = 256;

defineHandler(new Audit());
