#!/usr/bin/env node
// Adds to package-lock.json the optional platform packages that npm left out.
//
//   node scripts/complete-lock.mjs [--check] package-lock.json...
//
// npm writes only those optional packages to the lock that the registry in use could show it; a mirror
// often carries the packages of one platform. `npm ci` of npm 11 then refuses the lock ("Missing: … from
// lock file"), and other platforms cannot be installed from it at all. Each missing package gets an entry
// with its exact version and platform; npm adds the integrity when a complete registry is at hand.

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const PLATFORMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'sunos', 'win32'];
const OS_ALIASES = { windows: 'win32', macos: 'darwin' };
const CPUS = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];
const CPU_ALIASES = { aarch64: 'arm64', x86_64: 'x64' };

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false } },
  allowPositionals: true,
});
if (positionals.length === 0) {
  console.error('usage: node scripts/complete-lock.mjs [--check] package-lock.json...');
  process.exit(2);
}
let incomplete = 0;
for (const path of positionals) {
  incomplete += completeLock(path);
}
process.exit(values.check && incomplete > 0 ? 1 : 0);

/** Completes (or, with --check, only inspects) one lock file; returns how many entries it lacked. */
function completeLock(path) {
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  const missing = missingPackages(lock.packages);
  for (const [location, entry] of missing) {
    console.log(`${path}: ${values.check ? 'lacks' : 'added'} ${location} ${entry.version}`);
    lock.packages[location] = entry;
  }
  if (missing.size > 0 && !values.check) {
    lock.packages = sortPackages(lock.packages);
    writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  }
  return missing.size;
}

/** The optional dependencies of every locked package for which no entry can be resolved. */
function missingPackages(packages) {
  const missing = new Map();
  for (const [location, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (!isExactVersion(version) || isResolvable(packages, location, name)) {
        continue;
      }
      const platform = platformOf(name);
      missing.set(`node_modules/${name}`, {
        version,
        cpu: platform.cpu,
        ...(entry.dev ? { dev: true } : {}),
        ...(platform.libc ? { libc: platform.libc } : {}),
        optional: true,
        ...(platform.os ? { os: platform.os } : {}),
      });
    }
  }
  return missing;
}

/** Whether `name`, required from `location`, is found by Node's walk up through node_modules. */
function isResolvable(packages, location, name) {
  for (let from = location; ; ) {
    const candidate = `${from === '' ? '' : `${from}/`}node_modules/${name}`;
    if (candidate in packages) {
      return true;
    }
    if (from === '') {
      return false;
    }
    const end = from.lastIndexOf('node_modules/');
    from = end <= 0 ? '' : from.slice(0, end - 1);
  }
}

function isExactVersion(range) {
  return /^\d+\.\d+\.\d+(?:[-+][\w.+-]+)?$/.test(range);
}

/** The os, cpu and libc fields that a package name such as `@scope/tool-linux-x64-musl` stands for. */
function platformOf(name) {
  const words = name.split(/[/-]/);
  const os = words.map((word) => OS_ALIASES[word] ?? word).find((word) => PLATFORMS.includes(word));
  const cpu = words.map((word) => CPU_ALIASES[word] ?? word).find((word) => CPUS.includes(word));
  if (cpu === undefined) {
    throw new Error(`cannot tell the platform of ${name} from its name; add its entry to the lock by hand`);
  }
  const platform = { cpu: [cpu] };
  if (os !== undefined) {
    platform.os = [os];
  }
  if (os === 'linux') {
    platform.libc = [words.some((word) => word.startsWith('musl')) ? 'musl' : 'glibc'];
  }
  return platform;
}

function sortPackages(packages) {
  return Object.fromEntries(
    Object.entries(packages).sort(([left], [right]) => left.localeCompare(right, 'en')),
  );
}
