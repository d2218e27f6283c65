#!/usr/bin/env node
// `npm run check:docs`: fails if a document says what is not so.
//
//   npm run check:docs -- docs/guides/bodies.md …      these documents only
//
// Code blocks are type-checked and run (scripts/doc-blocks.mjs says how a block asks for it); links, paths, constants, commands,
// error codes and defaults are compared with the repository (scripts/doc-facts.mjs). Needs a built package.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { blockErrors, blocksOf } from './doc-blocks.mjs';
import { defaultErrors, factErrors } from './doc-facts.mjs';
import { runErrors } from './doc-runs.mjs';
import { typeErrors } from './doc-types.mjs';
import { ROOT, runScript, StepError } from './steps.mjs';

const { positionals } = parseArgs({ allowPositionals: true });

await runScript(async () => {
  if (!existsSync(join(ROOT, 'dist', 'index.js'))) {
    throw new StepError('the package is not built: npm run build');
  }
  const paths = positionals.length > 0 ? positionals : documentPaths();
  const documents = paths.map((file) => ({ file, text: readFileSync(join(ROOT, file), 'utf8') }));
  const blocks = documents.flatMap(({ file, text }) => blocksOf(file, text));
  const errors = [
    ...documents.flatMap(({ file, text }) => factErrors(file, text)),
    ...defaultErrors(),
    ...blockErrors(blocks),
    ...paths.flatMap((file) => beginningErrors(file, blocks)),
    ...typeErrors(blocks),
    ...(await runErrors(blocks)),
  ];
  if (errors.length > 0) {
    throw new StepError(errors.join('\n'));
  }
  const ran = blocks.filter(({ mode }) => mode !== '' && mode !== 'not-run').length;
  const left = blocks.filter(({ mode }) => mode === 'not-run').length;
  console.log(
    `${documents.length} documents, ${blocks.length} code blocks: ${ran} run, ${left} with a reason why not`,
  );
});

/** A guide begins with a program that works. */
function beginningErrors(file, blocks) {
  if (!file.startsWith('docs/guides/')) return [];
  const first = blocks.find((block) => block.file === file);
  return ['run', 'serve'].includes(first?.mode) && first.language !== 'sh'
    ? []
    : [`${file}: a guide begins with a program that is run`];
}

/** Every document of the repository, from its root. */
function documentPaths() {
  const atRoot = readdirSync(ROOT).filter((name) => name.endsWith('.md'));
  return [...atRoot, ...documentsBelow('docs'), ...documentsBelow('examples')];
}

function documentsBelow(folder) {
  return readdirSync(join(ROOT, folder), { recursive: true })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith('.md') && !name.includes('/node_modules/'));
}
