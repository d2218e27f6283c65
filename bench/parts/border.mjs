// What crosses the border between Rust and JavaScript, counted by bench/peers/counted.mjs on Node.
import { startServer } from '../child.mjs';
import { generate } from '../load.mjs';

const WARMUP_REQUESTS = 500;
const MEGABYTE = 1e6;
const TRANSFER_BYTES = 100 * MEGABYTE;
const SECONDS = 1;
// Short, so that nothing is collected while the heap is counted.
const HEAP_SECONDS = 0.15;
const ROOM = ['--min-semi-space-size=512', '--max-semi-space-size=512'];

const shape = (connections, streams, work, flags = []) => ({
  name: `${work}-${connections}x${streams}`,
  title: `${work}, ${connections} × ${streams}: a request`,
  work,
  each: ({ requests }) => requests,
  warmup: WARMUP_REQUESTS,
  args: ['load', '--connections', connections, '--streams', streams, '--seconds', SECONDS, ...flags],
});
const transfer = (name, way) => ({
  name,
  title: `${name}: a MB`,
  work: 'bulk',
  each: () => TRANSFER_BYTES / MEGABYTE,
  warmup: 0,
  args: ['bulk', way, '--bytes', TRANSFER_BYTES],
});
const fields = Array.from({ length: 8 }, (_, index) => [
  '--header',
  `x-field-${index + 1}:value-${index + 1}`,
]);

async function counts(command, load, what) {
  // node SCRIPT …: what Node itself is to be told goes before the script.
  const [node, ...rest] = command;
  const environment = [`TRILANE_WARMUP=${load.warmup}`, `TRILANE_COUNT=${what}`];
  const server = await startServer(['env', ...environment, node, ...ROOM, ...rest, '--work', load.work], {
    core: 0,
  });
  try {
    const [subcommand, ...flags] = load.args;
    const way = subcommand === 'bulk' ? flags.splice(0, 1) : [];
    const url = `https://localhost:${server.port}/${subcommand === 'bulk' ? load.name : 'json'}`;
    const short = what === 'heap' && subcommand === 'load' ? ['--seconds', HEAP_SECONDS] : [];
    await generate([subcommand, ...way, url, ...flags, ...short], { timeoutMs: 60_000 });
    return await server.farewell();
  } finally {
    await server.end();
  }
}

export const border = {
  name: 'border',
  title: 'The border between Rust and JavaScript',
  about:
    'Counted, not timed: calls in both directions, bytes that are copied over, promises, and what the JavaScript heap allocates (without array buffers). Allocations of the core: `cargo test -p trilane-core --test allocations -- --nocapture`.',
  work: 'border',
  starts: 'itself',
  rounds: 1,
  peers: ['node26-lazy', 'node26-own'],
  loads: [
    shape(1, 1, 'hello'),
    shape(8, 16, 'hello'),
    shape(8, 16, 'json', ['--method', 'POST', '--json', '1024', '--echoes', ...fields.flat()]),
    transfer('generator', 'download'),
    transfer('buffer', 'download'),
    transfer('upload', 'upload'),
  ],
  // Large bodies cross in the same way, whoever's Response they are in.
  takes: (load, peer) => load.work !== 'bulk' || peer.name === 'node26-lazy',
  async measure(command, load) {
    const counted = await counts(command, load, 'calls');
    const { heap, ...others } = await counts(command, load, 'heap');
    const each = load.each(counted);
    if (!(each > 0 && load.each(others) > 0)) throw new Error('the load was over before its warm-up');
    return {
      into: counted.into / each,
      outOf: counted.outOf / each,
      copied: counted.copied / each,
      promises: counted.promises / each,
      heap: heap && heap / load.each(others),
    };
  },
  figures: [
    { key: 'into', title: 'calls into Rust', digits: 2 },
    { key: 'outOf', title: 'calls into JavaScript', digits: 2 },
    { key: 'copied', title: 'bytes copied', digits: 0 },
    { key: 'promises', title: 'promises', digits: 2 },
    { key: 'heap', title: 'heap bytes', digits: 0 },
  ],
};
