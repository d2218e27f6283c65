#!/usr/bin/env node
// `npm run tested [-- FOLDER]`: takes over what test runs wrote, and writes the tables of versions in the README from it.
//
// `npm test` and `npm run pack:check` write reports to target/reports, the default; CI keeps them as artifacts named report-*.
// A report of a run in which something failed is refused: the tables say what works.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ROOT, run, runScript, StepError } from './steps.mjs';

const FILE = join(ROOT, 'docs', 'tested.json');

await runScript(async () => {
  const folder = resolve(process.argv[2] ?? join(ROOT, 'target', 'reports'));
  const paths = readdirSync(folder, { recursive: true })
    .filter((path) => path.endsWith('.json'))
    .sort();
  if (paths.length === 0) {
    throw new StepError(`${folder} has no report: run npm test, or download the artifacts of a run of CI.`);
  }
  const tested = JSON.parse(readFileSync(FILE, 'utf8'));
  const fresh = new Set();
  for (const path of paths) {
    take(tested, fresh, path, JSON.parse(readFileSync(join(folder, path), 'utf8')));
  }
  writeFileSync(FILE, `${JSON.stringify(tested, null, 2)}\n`);
  await run(process.execPath, ['scripts/generate-docs.mjs']);
});

/** Puts a report in the place of former ones of its kind and platform; reports of this call for one platform are added up. */
function take(tested, fresh, path, { kind, platform, date, rows }) {
  const failed = kind === 'specs' ? rows.filter(({ specs, passed }) => passed !== specs) : [];
  if (failed.length > 0) {
    throw new StepError(`${path}: specs failed on ${failed.map(({ runtime }) => runtime).join(', ')}`);
  }
  const key = `${kind} ${platform}`;
  const former = fresh.has(key) ? tested[kind][platform].rows : [];
  fresh.add(key);
  const nameOf = ({ manager = '', runtime, version }) => `${manager} ${runtime} ${version}`;
  const known = new Set(rows.map(nameOf));
  tested[kind][platform] = { date, rows: [...former.filter((row) => !known.has(nameOf(row))), ...rows] };
}
