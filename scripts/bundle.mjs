#!/usr/bin/env node
// `npm run build:bundle`: makes dist/ of index.ts and lib/, which is what the package ships. A program then loads two files
// instead of a hundred (docs/architecture.md, "Measured decisions").
//
//   dist/trilane.js   everything that the other two share
//   dist/index.js     the names of index.ts
//   dist/cli.js       what bin/trilane.mjs runs; its commands are in dist/cli/
//   dist/browser.js   what a bundle for browsers gets; stands alone
//
// Modules of the runtimes stay outside, and so does lib/load-native.cjs, which finds the binary. Nothing is minified, and the
// maps have the sources in them. Types are not bundled: tsc writes them beside the sources.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { ROOT } from './steps.mjs';

const OUT = join(ROOT, 'dist');

/** `./name.js` is name.ts, whatever tsc has left beside it; the one CommonJS file is loaded where it is. */
const SOURCES = {
  name: 'sources',
  resolveId(specifier, importer) {
    if (importer === undefined || !specifier.startsWith('.')) return null;
    return specifier.endsWith('/load-native.cjs')
      ? { id: '../lib/load-native.cjs', external: true }
      : this.resolve(specifier.replace(/\.js$/, '.ts'), importer, { skipSelf: true });
  },
};

rmSync(OUT, { recursive: true, force: true });
await bundle(
  { index: 'index.ts', cli: 'lib/cli/main.ts' },
  {
    platform: 'node',
    codeSplitting: { groups: [{ name: 'trilane', test: /[\\/]lib[\\/](?!cli[\\/])/ }] },
  },
);
await bundle({ browser: 'lib/browser.ts' }, { platform: 'browser' });

async function bundle(input, { platform, ...output }) {
  const bundled = await rolldown({
    cwd: ROOT,
    input,
    platform,
    plugins: [SOURCES],
    external: /^node:/,
    tsconfig: 'tsconfig.json',
    // What cannot be resolved would be left as it is, and fail on a user's machine.
    onLog(level, log) {
      if (level === 'warn') throw new Error(log.message);
    },
  });
  await bundled.write({
    dir: OUT,
    format: 'esm',
    sourcemap: true,
    comments: false,
    chunkFileNames: ({ name }) => (name === 'trilane' ? 'trilane.js' : 'cli/[name].js'),
    ...output,
  });
  await bundled.close();
}
