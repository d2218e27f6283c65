#!/usr/bin/env node
// `npm run version:set -- 1.2.3`: writes the version wherever it stands, and makes the platform packages anew.
//
// scripts/versions.mjs says afterwards whether all agree; CI and the release workflow ask it again.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { npm, ROOT, run, runScript, StepError } from './steps.mjs';

const VERSION = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/;

await runScript(async () => {
  const version = process.argv[2] ?? '';
  if (!VERSION.test(version)) {
    throw new StepError('usage: npm run version:set -- 1.2.3', 2);
  }
  const previous = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version;
  edit('package.json', (text) => text.replace(/^ {2}"version": ".+"/m, `  "version": "${version}"`));
  edit('package-lock.json', (text) => {
    const lock = JSON.parse(text);
    lock.version = version;
    lock.packages[''].version = version;
    return `${JSON.stringify(lock, null, 2)}\n`;
  });
  edit('lib/version.ts', (text) => text.replace(/VERSION = '.+'/, `VERSION = '${version}'`));
  edit('Cargo.toml', (text) => text.replace(/^version = ".+"$/m, `version = "${version}"`));
  // The members of the workspace take the version from there; dependencies stay as they are locked.
  await run('cargo', ['update', '--workspace', '--offline', '--quiet']);
  // As the next build writes it: the generated loader can compare its version with that of the binary's package.
  edit('binding.cjs', (text) =>
    text
      .replaceAll(`bindingPackageVersion !== '${previous}'`, `bindingPackageVersion !== '${version}'`)
      .replaceAll(`expected ${previous} but got`, `expected ${version} but got`),
  );
  await npm(['run', '--silent', 'generate']);
  await run(process.execPath, ['scripts/versions.mjs', '--no-changelog']);
});

function edit(file, change) {
  const path = join(ROOT, file);
  writeFileSync(path, change(readFileSync(path, 'utf8')));
}
