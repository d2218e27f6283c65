// trilane.mjs with its border counted: every call into the native part and out of it, and the bytes that are copied. On Node
// the promises as well, or (`TRILANE_COUNT=heap`) what the JavaScript heap allocates. At SIGTERM it prints one more line, the
// counts since the warm-up: `{"requests":N,"calls":{…},…}`.
import process from 'node:process';

const WARMUP_REQUESTS = Number(process.env.TRILANE_WARMUP ?? 0);
const counts = { requests: 0, into: 0, outOf: 0, copied: 0, promises: 0, calls: {} };
let heap;
let began = 0;
let collected = false;

const binding = (await import('../../binding.cjs')).default;

function called(direction, name) {
  counts[direction] += 1;
  counts.calls[name] = (counts.calls[name] ?? 0) + 1;
}

const bytesOf = (value) => (value instanceof Uint8Array ? value.byteLength : 0);
const sum = (arrays) => arrays.reduce((total, array) => total + bytesOf(array), 0);

/** What a call hands over that is copied. */
const COPIED = {
  answer: ([, text, used, bodies]) => text.length + used + sum(bodies),
  write: ([, , chunk]) => bytesOf(chunk),
};

function wrapped(name, method) {
  return function counted(...values) {
    called('into', name);
    counts.copied += COPIED[name]?.(values) ?? 0;
    return method.apply(this, values);
  };
}

/** Counted in their own way, below. */
const SPECIAL = new Set(['constructor', 'start', 'body']);

for (const exported of Object.values(binding)) {
  if (typeof exported !== 'function' || exported.prototype === undefined) continue;
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(exported.prototype))) {
    if (typeof value === 'function' && !SPECIAL.has(name)) exported.prototype[name] = wrapped(name, value);
  }
}

const { start } = binding.NativeServer.prototype;
const { body } = binding.NativeExchanges.prototype;

binding.NativeServer.prototype.start = function counted(hooks) {
  const watched = Object.entries(hooks).map(([name, hook]) => [
    name,
    typeof hook === 'function' ? (...values) => heard(name, hook, values) : hook,
  ]);
  return start.call(this, Object.fromEntries(watched));
};

function heard(name, hook, values) {
  if (name === 'request') {
    const [count, text, bodies] = values;
    if (heap === undefined && counts.requests + count >= WARMUP_REQUESTS) begin();
    counts.requests += count;
    counts.copied += text.length + sum(bodies);
  }
  called('outOf', name);
  return hook(...values);
}

/** A streamed body: each step is a call and a promise, and copies its piece. */
binding.NativeExchanges.prototype.body = function counted(...values) {
  called('into', 'body');
  const native = body.apply(this, values);
  if (native === null) return native;
  const iterate = native[Symbol.asyncIterator].bind(native);
  native[Symbol.asyncIterator] = () => {
    const steps = iterate();
    return {
      async next() {
        called('into', 'next');
        const step = await steps.next();
        counts.copied += bytesOf(step.value);
        return step;
      },
      return: () => steps.return(),
    };
  };
  return native;
};

/** The warm-up is over. */
function begin() {
  Object.assign(counts, { requests: WARMUP_REQUESTS, into: 0, outOf: 0, copied: 0, promises: 0, calls: {} });
  began = performance.now();
  heap = process.memoryUsage().heapUsed;
}

if (process.env.TRILANE_COUNT === 'heap') {
  const { PerformanceObserver } = await import('node:perf_hooks');
  new PerformanceObserver((list) => {
    collected ||= began > 0 && list.getEntries().some(({ startTime }) => startTime > began);
  }).observe({ entryTypes: ['gc'] });
} else {
  const { createHook } = await import('node:async_hooks');
  createHook({
    init(_id, type) {
      if (type === 'PROMISE') counts.promises += 1;
    },
  }).enable();
}

await import('./trilane.mjs');
process.removeAllListeners('SIGTERM');
process.on('SIGTERM', () => {
  const grown = heap === undefined || collected ? undefined : process.memoryUsage().heapUsed - heap;
  console.log(JSON.stringify({ ...counts, requests: counts.requests - WARMUP_REQUESTS, heap: grown }));
  process.exit(0);
});
