// Numbers for people: tables in Markdown that can be read on a terminal.
import { wanted } from './goals.mjs';
import { withoutPaths } from './paths.mjs';
import { YARDSTICK } from './peers.mjs';

/** A table in Markdown; the first row is its head. */
export function markdown(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}

/** `1,234.50` */
export function format(value, digits) {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** `2.90 (2.85–2.97)`, or the one value there is. */
function spread(row, { key, digits }) {
  const values = row.values(key);
  if (values.length === 0) return '–';
  if (values.length === 1) return format(values[0], digits);
  const range = [Math.min(...values), Math.max(...values)].map((value) => format(value, digits));
  return `${format(row.median(key), digits)} (${range.join('–')})`;
}

/** The rows of a part, and below them what was skipped and why. */
export function partTable(part, rows) {
  const all = rows.of(part);
  const measured = part.loads.flatMap((load) =>
    all.filter((row) => row.load === load && row.samples.length > 0),
  );
  const hasLoads = part.loads.length > 1;
  // A figure that is compared has a second column.
  const figures = part.figures.filter(({ key }) => measured.some((row) => row.values(key).length > 0));
  const isCompared = measured.some((row) => row.peer.name === yardstickOf(part));
  const columns = figures.flatMap((figure) =>
    figure.better && isCompared ? [figure, { ...figure, isRatio: true }] : [figure],
  );
  const head = columns.map(({ title, isRatio }) => (isRatio ? "× Bun's own" : title));
  const line = (row) => [
    ...(hasLoads ? [row.load.title] : []),
    `${row.peer.title} [${row.peer.name}]`,
    ...columns.map((column) => (column.isRatio ? compared(row, column, rows) : spread(row, column))),
  ];
  const table = markdown([
    [...(hasLoads ? ['load'] : []), part.column ?? 'server', ...head],
    ...measured.map(line),
  ]);
  return [measured.length > 0 ? table : 'Nothing was measured.', ...skipped(all)].join('\n');
}

function yardstickOf(part) {
  return part.yardstick ?? YARDSTICK;
}

function compared(row, { key }, rows) {
  const yardstick = rows.find(row.part.name, row.load.name, yardstickOf(row.part));
  const ratio = yardstick && row.ratio(key, yardstick);
  return ratio === undefined ? '–' : ratio.toFixed(2);
}

function skipped(rows) {
  const reasons = new Map();
  for (const row of rows.filter(({ skipped }) => skipped !== undefined)) {
    const reason = withoutPaths(row.skipped);
    const known = reasons.get(`${row.peer.name}: ${reason}`) ?? [];
    reasons.set(`${row.peer.name}: ${reason}`, [...known, row.load.title]);
  }
  if (reasons.size === 0) return [];
  const line = ([reason, loads]) => `- ${reason} (${loads.join(', ')})`;
  return ['', 'Skipped, or failed in a round:', '', ...[...reasons].map(line)];
}

/** The columns of goals: a peer is in the one that its name begins with. */
const SUBJECTS = { core: 'core', node20: 'Node 20', node26: 'Node 26', bun: 'Bun', deno: 'Deno' };

/** What was wanted, what was found: a line for each goal, a column for each that it is a goal for. */
export function goalTable(goals) {
  const lines = grouped(goals);
  const columns = Object.entries(SUBJECTS).filter(([prefix]) =>
    goals.some((goal) => goal.subject.startsWith(prefix)),
  );
  const cells = [...lines.values()].map((line) => [
    line[0].part.name,
    line[0].text,
    wanted(line[0]),
    ...columns.map(([prefix]) => cell(line.find((goal) => goal.subject.startsWith(prefix)))),
  ]);
  return markdown([['part', 'goal', 'wanted', ...columns.map(([, title]) => title)], ...cells]);
}

function lineOf(goal) {
  return `${goal.part.name} ${goal.text} ${wanted(goal)}`;
}

function grouped(goals) {
  const groups = new Map();
  for (const goal of goals) groups.set(lineOf(goal), [...(groups.get(lineOf(goal)) ?? []), goal]);
  return groups;
}

function cell(goal) {
  if (goal === undefined) return '';
  if (goal.value === undefined) return 'not measured';
  const digits = goal.isRatio ? 2 : goal.value < 100 ? 1 : 0;
  return `${format(goal.value, digits)} ${goal.verdict === 'met' ? '✓' : '✗'}`;
}
