// What a user reads whose native part does not load. That a missing package leads there is tried by scripts/pack-check.mjs.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { loadMessage, PLATFORMS } from '../../lib/native.js';
import type { Spec } from './spec.js';

const NOT_FOUND = [
  'Cannot find native binding. npm has a bug related to optional dependencies.',
  "Cannot find module '@trilane/binding-wasm32-wasi'",
  "Cannot find module './trilane.wasi.cjs'",
];

export const specs: readonly Spec[] = [
  {
    name: 'the platforms that the loader knows are those that are packaged',
    run: () => {
      assert.deepEqual([...PLATFORMS].sort(), readdirSync(new URL('../../npm', import.meta.url)).sort());
    },
  },
  {
    name: 'a missing platform package is named, with both likely causes and a version to install',
    run: () => {
      const reasons = [
        ...NOT_FOUND,
        "Cannot find module '@trilane/binding-linux-x64-musl' from '/app/binding.cjs'",
        "Cannot find module './trilane.linux-x64-musl.node'",
      ];
      const message = loadMessage(reasons, '1.2.3');
      assert.match(message, /the package @trilane\/binding-linux-x64-musl is not installed/);
      assert.match(message, /Optional dependencies were left out/);
      assert.match(message, /comes from another platform/);
      assert.match(message, /@trilane\/binding-linux-x64-musl@1\.2\.3$/);
    },
  },
  {
    name: 'a binary that is there but does not load is told apart from one that is missing',
    run: () => {
      const reasons = [
        ...NOT_FOUND,
        "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.17' not found (required by /app/trilane.linux-x64-gnu.node)",
        "Cannot find module './trilane.linux-x64-gnu.node'",
        "Cannot find module '@trilane/binding-linux-x64-gnu'",
      ];
      const message = loadMessage(reasons, '1.2.3');
      assert.match(message, /cannot load its native binary: .*GLIBC_2\.17/);
      assert.doesNotMatch(message, /is not installed/);
    },
  },
  {
    name: 'a permission that is lacking is not taken for a platform that is',
    run: () => {
      const message = loadMessage(
        ['Requires env access to "NAPI_RS_FORCE_WASI", run again with --allow-env'],
        '1.2.3',
      );
      assert.match(message, /cannot load its native binary: Requires env access/);
      assert.match(message, /--allow-ffi, --allow-read and --allow-env/);
    },
  },
  {
    name: 'a platform without a binary is told which ones have one',
    run: () => {
      const unknown = loadMessage([...NOT_FOUND, 'Unsupported OS: haiku, architecture: x64'], '1.2.3');
      assert.match(unknown, /no native binary for this platform .* there are binaries for darwin-arm64, /);
      const unmade = loadMessage(
        [...NOT_FOUND, "Cannot find module '@trilane/binding-linux-riscv64-gnu'"],
        '1.2.3',
      );
      assert.match(unmade, /no native binary for this platform \(linux-riscv64-gnu\)/);
    },
  },
];
