// The package as a stranger installs it, with the two package managers that are at hand wherever tests run; CI tries the others.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { locate } from './harness/spec-run.js';

/** Far above the half minute that it takes: other specs run at the same time. */
const PACK_MS = 300_000;

test('the packed package installs with npm and bun, serves by import and by require, and has its types', async (t) => {
  t.timeout(PACK_MS);
  const managers = 'missing' in locate('bun') ? ['npm'] : ['npm', 'bun'];
  const script = fileURLToPath(new URL('../scripts/pack-check.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, ...managers], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PACK_MS,
    killSignal: 'SIGKILL',
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  t.is(code, 0, printed);
});
