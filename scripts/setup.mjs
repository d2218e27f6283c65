#!/usr/bin/env node
// Brings a fresh clone to the point where the package can be imported: npm packages, native binding, TypeScript.
//
//   node scripts/setup.mjs [--prebuilt]
//
// Everything that is up to date is left alone. --prebuilt uses the .node file that is there, without Rust.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { npm, ROOT, runScript, StepError, step } from './steps.mjs';
import { cargoEnvironment, linkReleaseProgram, requireNode, requireRust } from './toolchain.mjs';

/** Which cargo targets are built together with the binding: what `npm start` needs, or the tests as well. */
const CARGO_TARGETS = { package: [], tests: ['--all-targets'] };

/**
 * Installs and builds what is missing or out of date.
 *
 * @param {{ scope?: 'package' | 'tests', binding?: 'built' | 'prebuilt' }} options
 */
export async function setUp({ scope = 'package', binding = 'built' } = {}) {
  requireNode();
  await installPackages('.');
  if (binding === 'prebuilt') {
    requirePrebuilt();
  } else {
    requireRust();
    await step('build the native binding', () => buildBinding(CARGO_TARGETS[scope]));
  }
  await step('compile TypeScript', () =>
    npm(['run', '--silent', scope === 'tests' ? 'build:tests' : 'build:ts']),
  );
}

/** Runs `npm ci` in `folder` if its node_modules is missing or older than its lock file. */
export async function installPackages(folder, extraArgs = ['--ignore-scripts']) {
  const lock = join(ROOT, folder, 'package-lock.json');
  const installed = join(ROOT, folder, 'node_modules', '.package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) {
    return;
  }
  await step(`install npm packages of ${folder === '.' ? 'the project' : folder}`, () =>
    npm([
      'ci',
      '--include=dev',
      '--include=optional',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--prefix',
      folder,
      ...extraArgs,
    ]),
  );
}

/**
 * Builds the binding with everything else of the workspace. Cargo decides what is stale. `--workspace` unifies the
 * features of all members, so that the tests do not compile the dependencies a second time.
 */
async function buildBinding(cargoTargets) {
  const env = cargoEnvironment();
  await npm(['run', '--silent', 'build:binding', '--', '--', '--locked', '--workspace', ...cargoTargets], {
    env,
  });
  linkReleaseProgram('peer');
}

function requirePrebuilt() {
  if (!readdirSync(ROOT).some((file) => file.startsWith('trilane.') && file.endsWith('.node'))) {
    throw new StepError(
      '--prebuilt was given, but no trilane.<platform>.node is in the folder of the package.',
    );
  }
}

if (process.argv[1] === join(ROOT, 'scripts', 'setup.mjs')) {
  const { values } = parseArgs({ options: { prebuilt: { type: 'boolean', default: false } } });
  await runScript(() => setUp({ binding: values.prebuilt ? 'prebuilt' : 'built' }));
}
