// What the attacks did, for people: one row per attack, and one per class where users of one connection are compared.
import { pinned } from './child.mjs';
import { machine, versions } from './machine.mjs';
import { markdown } from './table.mjs';

const HEAD = [
  'attack',
  'frames/s sent',
  'server CPU ms/s',
  'RSS MiB',
  'peak',
  'after 5 s',
  'other connection: p99 ms idle → attacked (max)',
  'same connection: p99 ms idle → attacked (max)',
  'how its connections ended',
  'what became of its parts',
  'broken',
];

const CLASS_HEAD = ['fairness', 'class', 'completed', 'p50 ms', 'p99 ms', 'max ms', 'MB/s', 'longest gap ms'];

function milliseconds(micros) {
  return (micros / 1000).toFixed(1);
}

function growth(from, to) {
  if (from === undefined || to === undefined) return '–';
  const difference = to - from;
  return `${difference < 0 ? '−' : '+'}${Math.abs(difference).toFixed(1)}`;
}

function slowdown(phases) {
  if (!phases?.attacked) return '–';
  const { idle, attacked } = phases;
  const failed = attacked.errors > 0 ? `, ${attacked.errors} errors` : '';
  return `${milliseconds(idle.p99_us)} → ${milliseconds(attacked.p99_us)} (${milliseconds(attacked.max_us)}${failed})`;
}

function counts(counted = {}) {
  return (
    Object.entries(counted)
      .map(([name, count]) => `${name} × ${count}`)
      .join(', ') || '–'
  );
}

function perSecond(amount, seconds) {
  return amount === undefined ? '–' : Math.round(amount / seconds).toLocaleString('en-US');
}

function row({ name, attack, lasted, cpu, before, peak, after, elsewhere, broken, late }) {
  return [
    name,
    perSecond(attack.frames_sent, lasted),
    perSecond(cpu === undefined ? undefined : cpu * 1000, lasted),
    before?.toFixed(1) ?? '–',
    growth(before, peak),
    growth(before, after),
    slowdown(elsewhere),
    slowdown(attack.neighbour),
    counts(attack.ends),
    counts(attack.outcomes),
    [...broken, ...late].join('; ') || 'nothing',
  ];
}

function classRows({ name, attack }) {
  return Object.entries(attack.classes ?? {}).map(([title, one]) => [
    name,
    title,
    String(one.completed),
    one.completed > 0 ? milliseconds(one.p50_us) : '–',
    one.completed > 0 ? milliseconds(one.p99_us) : '–',
    one.completed > 0 ? milliseconds(one.max_us) : '–',
    one.bytes_per_s > 0 ? (one.bytes_per_s / 1e6).toFixed(1) : '–',
    String(one.longest_gap_ms),
  ]);
}

/** All results; the table of classes only if there are any. */
export function hostileTable(results) {
  const classes = results.flatMap(classRows);
  const tables = [markdown([HEAD, ...results.map(row)])];
  if (classes.length > 0) tables.push(markdown([CLASS_HEAD, ...classes]));
  return tables.join('\n\n');
}

/** bench/HOSTILE.md. */
export function hostileDocument({ runtime, seconds, results }) {
  const cores = pinned
    ? 'server on core 0 with all its threads, attacker and neighbours on core 1'
    : 'not pinned: server, attacker and neighbours share the cores';
  return `# Hostile input

Written by \`npm run stress\` (\`node bench/hostile.mjs\`); do not edit.

${hostileTable(results)}

Each attack goes to a server started for it, for at least ${seconds} s, while one neighbour asks every 5 ms on a connection of its own and, where the
attacked connection can last, another on that one. \`crates/peer/README.md\` says what each does. CPU is user and system time of the
server's process from the attack's beginning to its end, the neighbours' requests included; frames are those that left or were about to
leave. The promises, in \`bench/hostile-promise.mjs\`: RSS grows by at most 64 MiB and is back within 16 MiB after 5 s; the neighbours'
p99 stays below 5 times the idle one or 10 ms in one of at most three attempts; a flood above \`limits.maxOverheadFramesPerSecond\` ends its connection.

- runtime: ${runtime}
- cores: ${cores}
- machine: ${machine()}
- versions: ${versions()}
- date: ${new Date().toISOString().slice(0, 10)}
`;
}
