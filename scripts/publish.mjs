#!/usr/bin/env node
// Publishes the platform packages and then the package itself; a version that is already there is left alone,
// so that a release that stopped half-way can be run again.
//
//   node scripts/publish.mjs [--dry-run]
//
// Expects the binaries in npm/<platform>/ and the optionalDependencies in package.json, as `napi artifacts` and
// `napi pre-publish` leave them. Provenance needs the workflow's identity token; --dry-run does without.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { npm, ROOT, runScript, StepError, step } from './steps.mjs';

const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean', default: false } } });

await runScript(async () => {
  const root = manifest('.');
  const platforms = readdirSync(join(ROOT, 'npm')).map((name) => `npm/${name}`);
  for (const folder of platforms) {
    requireReady(root, folder);
  }
  // The package itself comes last: nobody can then install it before its binaries are there.
  for (const folder of [...platforms, '.']) {
    const { name, version } = manifest(folder);
    if (isPublished(name, version)) {
      console.log(`${name}@${version} is published already`);
    } else {
      await step(`publish ${name}@${version}`, () => publish(folder));
    }
  }
});

function requireReady(root, folder) {
  const { name, version, main } = manifest(folder);
  if (root.optionalDependencies?.[name] !== version) {
    throw new StepError(`package.json does not list ${name}@${version}; run napi pre-publish first.`);
  }
  if (!existsSync(join(ROOT, folder, main))) {
    throw new StepError(`${folder}/${main} is missing; run napi artifacts first.`);
  }
}

/** Anything but the version itself, also a registry that cannot be asked, counts as not published: npm decides. */
function isPublished(name, version) {
  const npmCli = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const result = spawnSync(npmCli, ['view', `${name}@${version}`, 'version'], { encoding: 'utf8' });
  return result.status === 0 && result.stdout.trim() === version;
}

function publish(folder) {
  const mode = values['dry-run'] ? ['--dry-run'] : ['--provenance'];
  return npm(['publish', `./${folder}`, '--access', 'public', ...mode]);
}

function manifest(folder) {
  return JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
}
