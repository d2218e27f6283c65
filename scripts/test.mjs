#!/usr/bin/env node
// `npm test`: sets the clone up and runs every test.
//
//   npm test                                  Rust tests, then the JavaScript tests on every runtime
//   npm test -- --only rust | --only js       one of the two
//   npm test -- __test__/routes.spec.ts       these specs only (implies --only js)
//   npm test -- --prebuilt                    the JavaScript tests with the .node file that is there, without Rust

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installPackages, setUp } from './setup.mjs';
import { npm, printTimings, ROOT, run, runScript, StepError, step } from './steps.mjs';
import { cargoEnvironment } from './toolchain.mjs';

const SUITES = ['rust', 'js'];

const { values, positionals } = parseArgs({
  options: { only: { type: 'string' }, prebuilt: { type: 'boolean', default: false } },
  allowPositionals: true,
});

await runScript(async () => {
  try {
    await test(chosenSuites());
  } finally {
    printTimings();
  }
});

function chosenSuites() {
  if (values.only !== undefined && !SUITES.includes(values.only)) {
    throw new StepError(`--only takes ${SUITES.join(' or ')}, not "${values.only}".`, 2);
  }
  if (values.prebuilt || positionals.length > 0) {
    return ['js'];
  }
  return values.only === undefined ? SUITES : [values.only];
}

async function test(suites) {
  removeStaleSpecs(join(ROOT, '__test__'));
  await setUp({ scope: 'tests', binding: values.prebuilt ? 'prebuilt' : 'built' });
  if (suites.includes('rust')) {
    await step('Rust tests', () =>
      run('cargo', ['test', '--workspace', '--release', '--locked'], { env: cargoEnvironment() }),
    );
  }
  if (suites.includes('js')) {
    await installPackages('__test__/runtimes', []);
    await step('JavaScript tests', () => npm(['exec', '--no', '--', 'ava', ...positionals.map(compiled)]));
  }
}

/** Removes compiled specs whose source is gone: ava would go on running them. */
function removeStaleSpecs(folder) {
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.spec.js') && !existsSync(join(folder, file.replace(/\.js$/, '.ts')))) {
      rmSync(join(folder, file));
    }
  }
}

function compiled(path) {
  return path.replace(/\.ts$/, '.js');
}
