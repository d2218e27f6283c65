// The same facts on every runtime: each file of specs/ runs in a process of its own on each of them.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import test from 'ava';
import { locate, RUNTIME_NAMES, runSpecFile } from './harness/spec-run.js';
import { Turnstile } from './harness/turnstile.js';

/** The longest first, so that none of them runs alone at the end. */
const LONG = ['hostile', 'streams', 'responses', 'process', 'lifecycle', 'hammer'];
const FILES = [...LONG, ...specFiles().filter((file) => !LONG.includes(file))];

/** What ran, by runtime: `npm run tested` makes the table of versions in the README of it. */
const tally = new Map<string, { version: string; files: number; specs: number; passed: number }>();

/** Longer than all files together. */
const LONGEST_MS = 2 * 60 * 60 * 1000;

/** Processes at the same time: more would measure the machine, not the package. */
const turnstile = new Turnstile(2);

for (const file of FILES) {
  for (const name of RUNTIME_NAMES) {
    test(`${name} › ${file}`, async (t) => {
      // Most of it is waiting for a turn; each file has a deadline of its own.
      t.timeout(LONGEST_MS);
      const runtime = locate(name);
      if ('missing' in runtime) {
        t.log(`skipped: ${runtime.missing}`);
        if (mustBeHere()) t.fail(runtime.missing);
        else t.pass();
        return;
      }
      const { specs, faults } = await turnstile.pass(() => runSpecFile(runtime, file));
      for (const { ok, name: fact, ms, measured, error } of specs) {
        for (const figure of measured) t.log(`${fact}: ${figure}`);
        if (ok) t.pass(fact);
        else t.log(`✘ ${fact} (${ms} ms)\n${error}`);
      }
      for (const fault of faults) t.log(`✘ the process ${fault}`);
      count(name, runtime.version, specs);
      const failed = specs.filter(({ ok }) => !ok).map(({ name: fact }) => fact);
      t.deepEqual([...failed, ...faults], [], `${runtime.version}: ${specs.length} specs`);
    });
  }
}

test.after.always(() => {
  const rows = RUNTIME_NAMES.flatMap((runtime) => {
    const row = tally.get(runtime);
    return row?.files === FILES.length ? [{ runtime, ...row }] : [];
  });
  if (rows.length === 0) return;
  const folder = new URL('../target/reports/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const platform = `${process.platform}-${process.arch}`;
  const report = { kind: 'specs', platform, date: new Date().toISOString().slice(0, 10), rows };
  writeFileSync(new URL(`specs-${platform}.json`, folder), `${JSON.stringify(report, null, 2)}\n`);
});

function count(runtime: string, version: string, specs: readonly { readonly ok: boolean }[]): void {
  const row = tally.get(runtime) ?? { version, files: 0, specs: 0, passed: 0 };
  row.files += 1;
  row.specs += specs.length;
  row.passed += specs.filter(({ ok }) => ok).length;
  tally.set(runtime, row);
}

/** The names of all files in specs/; `spec.ts` has none. */
function specFiles(): string[] {
  return readdirSync(new URL('specs/', import.meta.url))
    .filter((file) => file.endsWith('.ts') && file !== 'spec.ts')
    .map((file) => file.replace(/\.ts$/, ''))
    .sort();
}

/** npm has every runtime for this platform, so that none may be missing where the results count. */
function mustBeHere(): boolean {
  return Boolean(process.env['CI']) && process.platform === 'linux' && process.arch === 'x64';
}
