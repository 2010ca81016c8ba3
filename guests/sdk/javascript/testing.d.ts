/**
 * The host of tests that run in Node.js.
 *
 * It is simpler than the real one: values are spelled as JSON.stringify spells them, its cache knows every object that
 * was made here, the newest of a name last, and selectors and indices are answered with an error. What it must be
 * exact about, the real host shows: `informerd dev`.
 */

import type { KubernetesObject, Level } from 'informerd-handler';

/** One line that was logged. */
export interface Line {
  level: Level;
  message: string;
  fields: Record<string, string>;
}

/** An object, in the form of its manifest. */
export function object(value: object): KubernetesObject;

/** Sets the handler's configuration, an object. */
export function setConfig(value: object): void;

/** What was logged since the last time, oldest first. */
export function takeLog(): Line[];
