#!/usr/bin/env node
// Fails unless every manifest names the same version, and the changelog has a section for it.
//
//   node scripts/versions.mjs [--tag v1.2.3]      with --tag, the version must be that of the tag

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, runScript, StepError } from './steps.mjs';

const { values } = parseArgs({ options: { tag: { type: 'string' } } });

await runScript(() => {
  const version = manifestVersion('package.json');
  const others = new Map([['Cargo.toml', /^version = "(.+)"$/m.exec(read('Cargo.toml'))?.[1]]]);
  others.set('lib/version.ts', /VERSION = '(.+)'/.exec(read('lib/version.ts'))?.[1]);
  for (const folder of readdirSync(join(ROOT, 'npm'))) {
    const path = `npm/${folder}/package.json`;
    others.set(path, manifestVersion(path));
  }
  if (values.tag !== undefined) {
    others.set('the tag', values.tag.replace(/^v/, ''));
  }
  const wrong = [...others].filter(([, other]) => other !== version);
  if (wrong.length > 0) {
    const list = wrong.map(([where, other]) => `${where} has ${other}`).join(', ');
    throw new StepError(`package.json has version ${version}, but ${list}.`);
  }
  if (!read('CHANGELOG.md').includes(`\n## [${version}]`)) {
    throw new StepError(`CHANGELOG.md has no section "## [${version}]".`);
  }
  console.log(`${others.size + 1} manifests and the changelog agree on ${version}`);
});

function manifestVersion(path) {
  return JSON.parse(read(path)).version;
}

function read(path) {
  return readFileSync(join(ROOT, path), 'utf8');
}
