// Runs spec files on the runtime that executes it: `run-specs.js <name of a file in specs/> ...`
//
// Prints one line of JSON for each spec, then ends by itself: nothing here calls process.exit(), so that what keeps a
// process alive after its servers are closed is found.

import process from 'node:process';
import type { Spec } from '../specs/spec.js';
import { soon } from './deadline.js';
import { takeMeasured } from './measured.js';
import { endSharedPeer } from './peer.js';
import { DONE, type SpecReport } from './spec-report.js';

/** Time for one spec that does not say otherwise, in milliseconds. */
const SPEC_MS = 30_000;

for (const file of process.argv.slice(2)) await runFile(file);
await endSharedPeer();
process.stdout.write(`${DONE}\n`);

async function runFile(file: string): Promise<void> {
  const { specs } = (await import(`../specs/${file}.js`)) as { specs: readonly Spec[] };
  for (const spec of specs) report(await runSpec(file, spec));
}

async function runSpec(file: string, { name, ms: most = SPEC_MS, run }: Spec): Promise<SpecReport> {
  const started = performance.now();
  let error: string | undefined;
  try {
    await soon('the end of the spec', Promise.resolve(run()), most);
  } catch (thrown) {
    error = thrown instanceof Error ? (thrown.stack ?? String(thrown)) : String(thrown);
  }
  const ms = Math.round(performance.now() - started);
  const measured = takeMeasured();
  return { file, name, ok: error === undefined, ms, measured, ...(error === undefined ? {} : { error }) };
}

function report(outcome: SpecReport): void {
  if (!outcome.ok) process.exitCode = 1;
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}
