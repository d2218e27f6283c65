#!/usr/bin/env node
// Fails if a source file is longer than 500 lines: something hides in there. Above 300 it is mentioned.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, runScript, StepError } from './steps.mjs';

const MENTIONED = 300;
const TOO_LONG = 500;
const SOURCES = ['*.rs', '*.ts', '*.mjs'];
const GENERATED = ['*.d.ts', '*.d.cts'];

await runScript(() => {
  const long = sourceFiles()
    .map((path) => ({ path, lines: readFileSync(join(ROOT, path), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > MENTIONED)
    .sort((left, right) => right.lines - left.lines);
  for (const { path, lines } of long) {
    console.log(`${String(lines).padStart(6)}  ${path}`);
  }
  const tooLong = long.filter(({ lines }) => lines > TOO_LONG).map(({ path }) => path);
  if (tooLong.length > 0) {
    throw new StepError(`longer than ${TOO_LONG} lines: ${tooLong.join(', ')}`);
  }
});

/** Every source file that git knows or would add; generated ones left out. */
function sourceFiles() {
  const exclude = GENERATED.map((pattern) => `:(exclude)${pattern}`);
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', ...SOURCES, ...exclude];
  const result = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  if (result.status !== 0) {
    throw new StepError(`git ls-files failed: ${result.stderr}`);
  }
  return result.stdout.split('\0').filter((path) => path !== '' && existsSync(join(ROOT, path)));
}
