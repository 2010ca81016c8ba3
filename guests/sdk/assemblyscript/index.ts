// Handlers for informerd in AssemblyScript: one class, and the host's objects, cache, configuration and log.

export { Pages, cache } from "./cache";
export { config } from "./config";
export { Failure, Handler, Watch, defineHandler } from "./handler";
export { Field, Level, debug, error, info, log, warn } from "./log";
export { KubernetesObject, ObjectKey } from "./object";
