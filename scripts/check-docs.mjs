#!/usr/bin/env node
// `npm run check:docs`: fails if a document says what is not so.
//
// Code blocks are type-checked, and run where they ask for it (scripts/doc-blocks.mjs); links, paths, constants, commands,
// error codes and defaults are compared with the repository (scripts/doc-facts.mjs). Needs a built package.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blocksOf, runErrors, typeErrors } from './doc-blocks.mjs';
import { defaultErrors, factErrors } from './doc-facts.mjs';
import { ROOT, runScript, StepError } from './steps.mjs';

await runScript(async () => {
  if (!existsSync(join(ROOT, 'index.js'))) {
    throw new StepError('the package is not built: npm run build');
  }
  const documents = documentPaths().map((file) => ({ file, text: readFileSync(join(ROOT, file), 'utf8') }));
  const blocks = documents.flatMap(({ file, text }) => blocksOf(file, text));
  const errors = [
    ...documents.flatMap(({ file, text }) => factErrors(file, text)),
    ...defaultErrors(),
    ...typeErrors(blocks),
    ...(await runErrors(blocks)),
  ];
  if (errors.length > 0) {
    throw new StepError(errors.join('\n'));
  }
  const ran = blocks.filter(({ words }) => words[0] !== '').length;
  console.log(`${documents.length} documents, ${blocks.length} code blocks, ${ran} of them run`);
});

function documentPaths() {
  const inFolder = (folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => (folder === '.' ? name : `${folder}/${name}`));
  const examples = readdirSync(join(ROOT, 'examples'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => inFolder(`examples/${name}`));
  return [...inFolder('.'), ...inFolder('docs'), ...inFolder('examples'), ...examples];
}
