// The package managers that the packed package is installed with: how each installs, and what runs a program there.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { locate, RUNTIME_NAMES } from '../__test__/runtimes/locate.mjs';
import { npmQuietly, ROOT, runQuietly, StepError } from './steps.mjs';

const PACKAGES = join(ROOT, '__test__', 'package-managers', 'node_modules');
const NPM_INSTALL = ['install', 'trilane', '--no-audit', '--no-fund'];
const NODE = { name: 'node', command: process.execPath, args: [], version: process.versions.node };

/**
 * Every package manager by name. `install` puts trilane into a folder that has a package.json; `runtimes` are those that
 * its layout is tried on, `node` being the one that runs this.
 */
export const MANAGERS = {
  // The one of this machine, and every runtime that is at hand.
  npm: {
    install: (folder, env, more = []) => npmQuietly([...NPM_INSTALL, ...more], { cwd: folder, env }),
    runtimes: runtimesAtHand,
  },
  npm10: nodeManager(packaged('npm10/bin/npm-cli.js'), NPM_INSTALL),
  npm11: nodeManager(packaged('npm11/bin/npm-cli.js'), NPM_INSTALL),
  pnpm: nodeManager(packaged('pnpm/bin/pnpm.cjs'), ['add', 'trilane']),
  yarn1: nodeManager(packaged('yarn1/bin/yarn.js'), ['add', 'trilane', '--no-progress']),
  // Without node_modules, the default of yarn 4: packages stay in archives, native files are taken out of them.
  yarn: {
    ...nodeManager(packaged('yarn/bin/yarn.js'), ['add', 'trilane']),
    runtimes: () => [{ ...NODE, args: [packaged('yarn/bin/yarn.js')(), 'node'] }],
  },
  bun: {
    install: (folder, env) => runQuietly(runtime('bun').command, ['add', 'trilane'], { cwd: folder, env }),
    runtimes: () => [runtime('bun'), NODE],
  },
  deno: {
    install: (folder, env) =>
      runQuietly(runtime('deno').command, ['add', 'npm:trilane'], { cwd: folder, env }),
    runtimes: () => [runtime('deno')],
  },
};

/** The names by which people call them, versions included. */
export const ALIASES = { 'npm@10': 'npm10', 'npm@11': 'npm11', 'yarn@1': 'yarn1', 'yarn@4': 'yarn' };

/**
 * Settings that every manager reads from the folder or the environment: `registry`, and caches below `home`, so that
 * nothing of the machine is used and nothing is left on it.
 */
export function isolate(folder, home, registry) {
  writeFileSync(
    join(folder, '.npmrc'),
    `registry=${registry}\ncache=${join(home, 'npm')}\nstore-dir=${join(home, 'pnpm')}\n`,
  );
  writeFileSync(
    join(folder, '.yarnrc.yml'),
    [
      `npmRegistryServer: "${registry.replace(/\/$/, '')}"`,
      'unsafeHttpWhitelist: ["127.0.0.1"]',
      'enableTelemetry: false',
      'enableGlobalCache: false',
      'enableImmutableInstalls: false',
      '',
    ].join('\n'),
  );
  const settings = /^(?:npm|bun|deno|yarn|pnpm|node_options|ci$)/i;
  const kept = Object.entries(process.env).filter(([name]) => !settings.test(name));
  return {
    ...Object.fromEntries(kept),
    HOME: home,
    USERPROFILE: home,
    XDG_CACHE_HOME: join(home, 'cache'),
    XDG_DATA_HOME: join(home, 'data'),
    BUN_INSTALL_CACHE_DIR: join(home, 'bun'),
    DENO_DIR: join(home, 'deno'),
    YARN_CACHE_FOLDER: join(home, 'yarn'),
    NPM_CONFIG_REGISTRY: registry,
    NPM_CONFIG_UPDATE_NOTIFIER: 'false',
    NO_COLOR: '1',
  };
}

/** A runtime that must be there. */
export function runtime(name) {
  const found = locate(name);
  if ('missing' in found) {
    throw new StepError(found.missing);
  }
  return { name, ...found };
}

function nodeManager(cli, args) {
  return {
    install: (folder, env) => runQuietly(process.execPath, [cli(), ...args], { cwd: folder, env }),
    runtimes: () => [NODE],
  };
}

/** Every runtime that can be found, and this Node if its major version is not among them; those that cannot are named. */
function runtimesAtHand() {
  const found = RUNTIME_NAMES.map((name) => ({ name, ...locate(name) })).filter((runtime) => {
    if ('missing' in runtime) console.log(`skipped  ${runtime.missing}`);
    return !('missing' in runtime);
  });
  return found.some(({ version }) => version.split('.')[0] === NODE.version.split('.')[0])
    ? found
    : [NODE, ...found];
}

function packaged(path) {
  return () => {
    const file = join(PACKAGES, ...path.split('/'));
    if (!existsSync(file)) {
      throw new StepError(`${path} is missing: npm ci --ignore-scripts --prefix __test__/package-managers`);
    }
    return file;
  };
}
