// Numbers for people: one row per case, medians with the smallest and the largest of all rounds.
import { YARDSTICK } from './cases.mjs';
import { pinned } from './child.mjs';
import { machine, versions } from './machine.mjs';
import { withoutPaths } from './paths.mjs';

const HEAD = [
  'case',
  'CPU µs/request',
  "× Bun's own",
  'req/s',
  "× Bun's own",
  'p50 µs',
  'p99 µs',
  'peak RSS MiB',
  'threads',
  'errors',
];

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function values(result, key) {
  return result.samples.map((sample) => sample[key]).filter((value) => value !== undefined);
}

/** `2.90 (2.85–2.97)`, or the one value there is. */
function spread(result, key, digits) {
  const all = values(result, key);
  if (all.length === 0) return '–';
  const [low, high] = [Math.min(...all), Math.max(...all)].map((value) => format(value, digits));
  return all.length === 1 ? format(all[0], digits) : `${format(median(all), digits)} (${low}–${high})`;
}

function format(value, digits) {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function ratio(result, yardstick, key) {
  const [mine, theirs] = [result, yardstick].map((one) => (one ? values(one, key) : []));
  return mine.length > 0 && theirs.length > 0 ? (median(mine) / median(theirs)).toFixed(2) : '–';
}

function row(one, result, yardstick) {
  return [
    `${one.title} [${one.name}]`,
    spread(result, 'cpuMicros', 2),
    ratio(result, yardstick, 'cpuMicros'),
    spread(result, 'requestsPerSecond', 0),
    ratio(result, yardstick, 'requestsPerSecond'),
    spread(result, 'p50', 0),
    spread(result, 'p99', 0),
    spread(result, 'rssMiB', 0),
    String(values(result, 'threads').at(-1) ?? '–'),
    String(values(result, 'errors').reduce((sum, value) => sum + value, 0)),
  ];
}

/** A table in Markdown; the first row is its head. */
export function markdown(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}

/** The table and, below it, what was skipped and why. */
export function table({ results }) {
  const measured = [...results].filter(([, result]) => result.samples.length > 0);
  const yardstick = measured.find(([one]) => one.name === YARDSTICK)?.[1];
  const rows = [HEAD, ...measured.map(([one, result]) => row(one, result, yardstick))];
  const skipped = [...results].filter(([, result]) => result.skipped);
  const reasons = skipped.map(([one, result]) => `- ${one.name}: ${withoutPaths(result.skipped)}`);
  return [markdown(rows), ...(reasons.length > 0 ? ['', 'Skipped:', '', ...reasons] : [])].join('\n');
}

/** bench/RESULTS.md. */
export function document(run) {
  const providers = [...run.results.keys()]
    .filter((one) => !one.missing)
    .map((one) => `${one.name} ${one.tls}`);
  const cores = pinned
    ? 'servers on core 0 with all their threads, the load generator on core 1'
    : 'not pinned: servers and load generator share the cores';
  return `# Benchmark

Written by \`npm run bench\` (\`node bench/run.mjs\`); do not edit.

${table(run)}

Medians of ${run.rounds} rounds with the smallest and the largest in parentheses. CPU is user and system time of the server's process
and its children, divided by answered requests. RSS is the highest of the run.

- load: \`peer load --connections ${run.connections} --streams ${run.streams} --seconds ${run.seconds}\`, GET /hello/world?x=1, one thread, on the same machine; every
  status and body checked
- handler: reads method, path and user-agent, answers \`hello world\` as text/plain; the Rust references only answer
- cores: ${cores}
- order: reversed every other round; every server started anew and warmed up before it is measured
- machine: ${machine()}
- versions: ${versions()}
- TLS: ${providers.join('; ')}
- date: ${new Date().toISOString().slice(0, 10)}
`;
}
