#!/usr/bin/env node
// Fails unless everything that carries the version has the same one, the platform packages are those of the targets, and the
// changelog has a section for it.
//
//   node scripts/versions.mjs [--tag v1.2.3] [--released] [--no-changelog]
//
// With --tag, the version must be that of the tag. With --released, package.json must list every platform package with this very
// version, as `napi pre-publish` leaves it.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, runScript, StepError } from './steps.mjs';

const { values } = parseArgs({
  options: {
    tag: { type: 'string' },
    released: { type: 'boolean', default: false },
    'no-changelog': { type: 'boolean', default: false },
  },
});

await runScript(() => {
  const root = manifest('package.json');
  const platforms = readdirSync(join(ROOT, 'npm')).map((folder) => `npm/${folder}/package.json`);
  const faults = [
    ...differences(root.version, versions(platforms)),
    ...targetFaults(root, platforms),
    ...(values.released ? releaseFaults(root, platforms) : []),
    ...(values['no-changelog'] || read('CHANGELOG.md').includes(`\n## [${root.version}]`)
      ? []
      : [`CHANGELOG.md has no section "## [${root.version}]"`]),
  ];
  if (faults.length > 0) {
    throw new StepError(`the version of package.json is ${root.version}, but\n- ${faults.join('\n- ')}`);
  }
  console.log(
    `package.json, ${platforms.length} platform packages, Cargo and the lock files agree on ${root.version}`,
  );
});

/** Every other place that has the version, and what it is there. */
function versions(platforms) {
  const lock = manifest('package-lock.json');
  const binding = [...read('binding.cjs').matchAll(/bindingPackageVersion !== '([^']+)'/g)].map(
    ([, found]) => found,
  );
  const crates = [...read('Cargo.lock').matchAll(/^name = "(trilane[\w-]*)"\nversion = "(.+)"$/gm)];
  return [
    ['Cargo.toml', /^version = "(.+)"$/m.exec(read('Cargo.toml'))?.[1]],
    ['lib/version.ts', /VERSION = '(.+)'/.exec(read('lib/version.ts'))?.[1]],
    ['package-lock.json', lock.version],
    ['package-lock.json, packages[""]', lock.packages[''].version],
    ...[...new Set(binding)].map((found) => ['binding.cjs', found]),
    ...crates.map(([, name, found]) => [`Cargo.lock, ${name}`, found]),
    ...platforms.map((path) => [path, manifest(path).version]),
    ...(values.tag === undefined ? [] : [['the tag', values.tag.replace(/^v/, '')]]),
  ];
}

function differences(version, others) {
  return others.filter(([, other]) => other !== version).map(([where, other]) => `${where} has ${other}`);
}

/** What users and auditors read in a platform package has to be what the package itself says. */
function targetFaults(root, platforms) {
  const faults = [];
  if (platforms.length !== root.napi.targets.length) {
    faults.push(`npm/ has ${platforms.length} packages for ${root.napi.targets.length} targets`);
  }
  for (const path of platforms) {
    const platform = manifest(path);
    for (const key of ['license', 'repository', 'homepage', 'engines', 'publishConfig']) {
      if (JSON.stringify(platform[key]) !== JSON.stringify(root[key])) {
        faults.push(`${path} has another "${key}": npm run generate`);
      }
    }
    if (!platform.name.startsWith(`${root.napi.packageName}-`)) {
      faults.push(`${path} is named ${platform.name}`);
    }
  }
  return faults;
}

/** Whether package.json lists exactly the platform packages. */
function releaseFaults({ version, optionalDependencies = {} }, platforms) {
  const names = platforms.map((path) => manifest(path).name);
  return [
    ...names
      .filter((name) => optionalDependencies[name] !== version)
      .map((name) => `optionalDependencies has ${name}@${optionalDependencies[name] ?? 'nothing'}`),
    ...Object.keys(optionalDependencies)
      .filter((name) => !names.includes(name))
      .map((name) => `optionalDependencies has ${name}, which is no folder of npm/`),
  ];
}

function manifest(path) {
  return JSON.parse(read(path));
}

function read(path) {
  return readFileSync(join(ROOT, path), 'utf8');
}
