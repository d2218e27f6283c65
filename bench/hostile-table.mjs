// What the attacks did, for people: one row per attack, and one per class where users of one connection are compared.
import { markdown } from './table.mjs';

const HEAD = [
  'attack',
  'RSS MiB',
  'peak',
  'after 5 s',
  'other connection: p99 ms idle → attacked (max)',
  'same connection: p99 ms idle → attacked (max)',
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

function outcomes({ outcomes: counted }) {
  return (
    Object.entries(counted)
      .map(([name, count]) => `${name} × ${count}`)
      .join(', ') || '–'
  );
}

function row({ name, attack, before, peak, after, elsewhere, broken }) {
  return [
    name,
    before?.toFixed(1) ?? '–',
    growth(before, peak),
    growth(before, after),
    slowdown(elsewhere),
    slowdown(attack.neighbour),
    outcomes(attack),
    broken.join('; ') || 'nothing',
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
