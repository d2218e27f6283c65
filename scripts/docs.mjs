#!/usr/bin/env node
// `npm run docs`: writes everything in the documents that is made from the sources: docs/api (typedoc), docs/errors.md and the
// tables between markers (scripts/generate-docs.mjs).
//
//   node scripts/docs.mjs [--check]      --check writes nothing and fails if a page is out of date
//
// Either way it fails if a public item has no comment, or if a comment links to what does not exist (typedoc.json).

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { npm, ROOT, run, runScript, StepError } from './steps.mjs';

const API = join(ROOT, 'docs', 'api');

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });

await runScript(async () => {
  await run(process.execPath, ['scripts/generate-docs.mjs', ...(values.check ? ['--check'] : [])]);
  if (values.check) await checkReference();
  else await writeReference(API);
});

async function checkReference() {
  const folder = mkdtempSync(join(tmpdir(), 'trilane-docs-'));
  try {
    await writeReference(folder);
    const [made, committed] = [pagesOf(folder), pagesOf(API)];
    const stale = [...new Set([...made.keys(), ...committed.keys()])].filter(
      (page) => made.get(page) !== committed.get(page),
    );
    if (stale.length > 0) {
      throw new StepError(
        `out of date: ${stale.map((page) => `docs/api/${page}`).join(', ')}. Run npm run docs and commit the result.`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Fails with what typedoc says; the folder is emptied first. */
async function writeReference(folder) {
  rmSync(folder, { recursive: true, force: true });
  await npm(['exec', '--no', '--', 'typedoc', '--logLevel', 'Warn', '--out', folder]);
}

/** The pages in `folder` by path: their text. */
function pagesOf(folder) {
  const pages = readdirSync(folder, { recursive: true })
    .map((page) => page.replaceAll('\\', '/'))
    .filter((page) => page.endsWith('.md'));
  return new Map(pages.map((page) => [page, readFileSync(join(folder, page), 'utf8')]));
}
