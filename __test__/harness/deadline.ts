import { setTimeout as sleep } from 'node:timers/promises';

/** How long a spec waits for one thing unless it says otherwise, in milliseconds. */
export const PATIENCE_MS = 10_000;

/** Time between two looks at a condition, in milliseconds. */
const LOOK_MS = 5;

/** The outcome of `promise`, or an error that names `what` was waited for. */
export async function soon<Value>(
  what: string,
  promise: PromiseLike<Value>,
  ms = PATIENCE_MS,
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `condition` holds. Only for what tells nobody when it changes, such as a counter. */
export async function until(what: string, condition: () => boolean, ms = PATIENCE_MS): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await sleep(LOOK_MS);
  }
}

/** A promise and the functions that settle it; `Promise.withResolvers` is not on Node 20. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
  reject(reason: unknown): void;
}

/** Makes a promise that is settled from outside. */
export function deferred<Value = void>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  // A spec that fails elsewhere first must not end the process over this one.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
