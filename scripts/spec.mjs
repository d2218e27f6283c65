#!/usr/bin/env node
// `npm run spec`: some spec files on some runtimes, with the native binding that is there.
//
//   npm run spec -- streams                              __test__/specs/streams.ts on this Node
//   npm run spec -- streams bodies --on bun,node26       or deno, node20, node22, node24, all

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { RUNTIME_NAMES } from '../__test__/runtimes/locate.mjs';
import { npm, ROOT, runScript, StepError } from './steps.mjs';

const SPECS = join(ROOT, '__test__', 'specs');

const { values, positionals } = parseArgs({
  options: { on: { type: 'string', default: 'node' } },
  allowPositionals: true,
});

await runScript(async () => {
  const files = positionals.map((name) => name.replace(/^.*\//, '').replace(/\.[jt]s$/, ''));
  const unknown = files.filter((name) => !existsSync(join(SPECS, `${name}.ts`)));
  if (files.length === 0 || unknown.length > 0) {
    throw new StepError(
      `${unknown.length > 0 ? `no spec ${unknown.join(', ')}; ` : ''}there are ${specs()}.`,
      2,
    );
  }
  const names = values.on === 'all' ? RUNTIME_NAMES : values.on.split(',');
  const wrong = names.filter((name) => name !== 'node' && !RUNTIME_NAMES.includes(name));
  if (wrong.length > 0) {
    throw new StepError(`--on takes node, all, ${RUNTIME_NAMES.join(', ')}; not ${wrong.join(', ')}.`, 2);
  }
  await npm(['run', '--silent', 'build:tests']);
  const { locate, runSpecFile } = await import('../__test__/harness/spec-run.js');
  let failed = 0;
  for (const file of files) {
    for (const name of names) {
      const runtime = locate(name);
      if ('missing' in runtime) throw new StepError(runtime.missing);
      console.log(`\n${file}, on ${name} ${runtime.version}`);
      failed += report(await runSpecFile(runtime, file));
    }
  }
  if (failed > 0) throw new StepError(`${failed} failed`);
});

/** Prints what became of a file; returns how much of it failed. */
function report({ specs: outcomes, faults }) {
  for (const { ok, name, ms, measured, error } of outcomes) {
    console.log(`  ${ok ? '✔' : '✘'} ${name} (${ms} ms)${ok ? '' : `\n${error}`}`);
    for (const figure of measured) console.log(`      ${figure}`);
  }
  for (const fault of faults) console.log(`  ✘ the process ${fault}`);
  return outcomes.filter(({ ok }) => !ok).length + faults.length;
}

function specs() {
  return readdirSync(SPECS)
    .filter((name) => name.endsWith('.ts') && name !== 'spec.ts')
    .map((name) => name.replace(/\.ts$/, ''))
    .join(', ');
}
