#!/usr/bin/env node
// `npm run check`: everything that CI's lint job runs. Every check runs, also after one has failed.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installPackages } from './setup.mjs';
import { npm, printTimings, ROOT, run, runScript, StepError, step } from './steps.mjs';
import { isInstalled, requireNode, requireRust } from './toolchain.mjs';

const CHECKS = [
  { title: 'Biome: lint and format', action: () => npm(['run', '--silent', 'lint']) },
  {
    title: 'TypeScript',
    action: () => npm(['exec', '--no', '--', 'tsc', '-p', 'tsconfig.test.json', '--noEmit']),
  },
  { title: 'rustfmt', action: () => run('cargo', ['fmt', '--all', '--check']) },
  {
    title: 'clippy',
    action: () =>
      run('cargo', ['clippy', '--workspace', '--all-targets', '--locked', '--', '-D', 'warnings']),
  },
  {
    title: 'rustdoc',
    action: () =>
      run('cargo', ['doc', '-p', 'trilane-core', '-p', 'trilane-http3', '--no-deps', '--locked'], {
        env: { RUSTDOCFLAGS: '-D warnings' },
      }),
  },
  {
    title: 'cargo deny',
    // CI runs it as a job of its own: installing it takes minutes.
    unless: () => !isInstalled('cargo', 'deny') && 'it is not installed (cargo install cargo-deny --locked)',
    action: () => run('cargo', ['deny', 'check']),
  },
  {
    title: 'publint',
    unless: () => !existsSync(join(ROOT, 'dist', 'index.js')) && 'the package is not built (npm run build)',
    action: () => npm(['exec', '--no', '--', 'publint', '--strict']),
  },
  {
    title: 'Are the types wrong?',
    unless: () => !existsSync(join(ROOT, 'dist', 'index.js')) && 'the package is not built (npm run build)',
    // The rule that is left out takes require() of a module for an error. Every Node of `engines` can do it, as can Bun and
    // Deno; `npm run pack:check` does it on each.
    action: () =>
      npm([
        'exec',
        '--no',
        '--',
        'attw',
        '--pack',
        '.',
        '--ignore-rules',
        'cjs-resolves-to-esm',
        '--no-emoji',
      ]),
  },
  {
    title: 'actionlint',
    unless: () => spawnSync('go', ['version']).status !== 0 && 'Go is not installed',
    action: () => npm(['run', '--silent', 'lint:workflows']),
  },
  {
    title: 'reference: up to date, every public item documented',
    action: () => npm(['run', '--silent', 'docs', '--', '--check']),
  },
  {
    title: 'documents',
    unless: () => !existsSync(join(ROOT, 'dist', 'index.js')) && 'the package is not built (npm run build)',
    action: () => npm(['run', '--silent', 'check:docs']),
  },
  {
    title: 'rules of the standards',
    action: () => run(process.execPath, ['scripts/standards.mjs', '--check']),
  },
  { title: 'versions agree', action: () => run(process.execPath, ['scripts/versions.mjs']) },
  { title: 'file lengths', action: () => run(process.execPath, ['scripts/lengths.mjs']) },
  { title: 'lock files are complete', action: () => npm(['run', '--silent', 'lock', '--', '--check']) },
];

await runScript(async () => {
  requireNode();
  requireRust();
  await installPackages('.');
  const failed = [];
  const skipped = [];
  for (const { title, unless, action } of CHECKS) {
    const reason = unless?.();
    if (reason) {
      skipped.push(`${title}: ${reason}`);
    } else if (!(await passes(title, action))) {
      failed.push(title);
    }
  }
  printTimings();
  for (const line of skipped) {
    console.log(`skipped  ${line}`);
  }
  if (failed.length > 0) {
    throw new StepError(`failed: ${failed.join(', ')}`);
  }
});

async function passes(title, action) {
  try {
    await step(title, action);
    return true;
  } catch (error) {
    if (!(error instanceof StepError)) {
      throw error;
    }
    console.error(error.message);
    return false;
  }
}
