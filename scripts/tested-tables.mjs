// The tables of the README that say what the package was tested with, from docs/tested.json.

import { row } from './doc-source.mjs';

const NAMES = { node: 'Node', bun: 'Bun', deno: 'Deno' };
const MANAGERS = {
  npm: 'npm',
  npm10: 'npm 10',
  npm11: 'npm 11',
  pnpm: 'pnpm',
  yarn: 'yarn 4',
  yarn1: 'yarn 1',
  bun: 'bun',
  deno: 'deno',
};

/** Markdown: the specs by runtime, then the installed package by platform. */
export function testedTables({ specs, packed }) {
  const runtimes = byPlatform(specs).flatMap(([platform, { date, rows }]) =>
    rows.map(({ runtime, version, passed }) =>
      row([`${nameOf(runtime)} ${version}`, platform, `${passed} facts`, date]),
    ),
  );
  const platforms = byPlatform(packed).map(([platform, { date, rows }]) =>
    row([
      platform,
      unique(
        rows.filter(({ asked }) => asked).map(({ runtime, version }) => `${nameOf(runtime)} ${version}`),
      ),
      unique(rows.map(({ manager }) => MANAGERS[manager] ?? manager)),
      date,
    ]),
  );
  return [
    ...table(['runtime', 'platform', 'tests that passed', 'on'], runtimes),
    ...table(
      ['platform', 'packed, installed, and served by `import` and by `require` on', 'installed with', 'on'],
      platforms,
    ),
  ]
    .join('\n')
    .trim();
}

/** Nothing for a table without rows: no run has written any yet. */
function table(head, rows) {
  return rows.length === 0 ? [] : [row(head), row(head.map(() => '---')), ...rows, ''];
}

function byPlatform(reports) {
  return Object.entries(reports).sort(([left], [right]) => left.localeCompare(right, 'en'));
}

function nameOf(runtime) {
  const kind = runtime.replace(/\d+$/, '');
  return NAMES[kind] ?? runtime;
}

function unique(items) {
  return [...new Set(items)].join(', ') || 'none';
}
