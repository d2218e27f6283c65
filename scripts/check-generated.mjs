#!/usr/bin/env node
// Fails if a committed generated file is not what the tools generate now. Run it right after `npm run build`.

import { spawnSync } from 'node:child_process';
import { npm, ROOT, run, runScript, StepError } from './steps.mjs';

const GENERATED = ['binding.cjs', 'binding.d.cts', 'index.d.ts', 'npm'];

await runScript(async () => {
  await run(process.execPath, ['scripts/docs.mjs', '--check']);
  await npm(['run', '--silent', 'generate']);
  const changed = git('status', '--porcelain', '--', ...GENERATED);
  if (changed !== '') {
    console.log(git('diff', '--', ...GENERATED));
    throw new StepError(
      `generated files differ from the committed ones:\n${changed}commit what the build wrote.`,
    );
  }
});

function git(...args) {
  const result = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  if (result.status !== 0) {
    throw new StepError(`git ${args.join(' ')} failed: ${result.stderr}`);
  }
  return result.stdout;
}
