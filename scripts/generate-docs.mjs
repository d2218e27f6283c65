#!/usr/bin/env node
// Writes the parts of the documents that say what the sources say: docs/errors.md, docs/files.md, and tables between markers.
//
//   node scripts/generate-docs.mjs [--check]      --check writes nothing and fails if a document is out of date

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { membersOf, row } from './doc-source.mjs';
import { filesPage } from './file-list.mjs';
import { ROOT, runScript, StepError } from './steps.mjs';
import { testedTables } from './tested-tables.mjs';

const ERRORS_SOURCE = 'lib/errors.ts';
const ERRORS_PAGE = 'docs/errors.md';
const FILES_PAGE = 'docs/files.md';

/** Tables in hand-written documents, by the name in their markers `<!-- begin NAME -->` and `<!-- end NAME -->`. */
const TABLES = [
  { file: 'README.md', name: 'tested', make: () => testedTables(JSON.parse(read('docs/tested.json'))) },
  { file: 'SECURITY.md', name: 'limits', make: limitsTable },
  { file: 'docs/guides/client.md', name: 'client options', make: clientOptionsTable },
  {
    file: 'docs/guides/files.md',
    name: 'file options',
    make: () => optionRows('lib/file-response.ts', 'FileResponseInit'),
  },
  {
    file: 'docs/guides/files.md',
    name: 'folder options',
    make: () => optionRows('lib/serve-static.ts', 'ServeStaticOptions'),
  },
];

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });

await runScript(async () => {
  const documents = new Map([
    [ERRORS_PAGE, await errorsPage()],
    [FILES_PAGE, filesPage()],
  ]);
  for (const { file, name, make } of TABLES) {
    documents.set(file, withTable(documents.get(file) ?? read(file), file, name, make()));
  }
  const stale = [...documents].filter(([file, text]) => !existsSync(join(ROOT, file)) || read(file) !== text);
  if (values.check && stale.length > 0) {
    const files = stale.map(([file]) => file).join(', ');
    throw new StepError(`out of date: ${files}. Run npm run docs and commit the result.`);
  }
  for (const [file, text] of stale) {
    writeFileSync(join(ROOT, file), text);
    console.log(`wrote ${file}`);
  }
});

async function errorsPage() {
  const { ERROR_CODES } = await importSource(ERRORS_SOURCE);
  const rows = Object.entries(ERROR_CODES).map(([code, { kind, layer, doc, hint }]) =>
    row([`<a id="${code}"></a>\`${code}\``, `\`${kind}\``, layer, doc, hint]),
  );
  return `<!-- Generated from ${ERRORS_SOURCE} by scripts/generate-docs.mjs. -->

# Errors

Every error of this package has a \`code\` of this table. A mistake of the caller is a \`TypeError\` or a \`RangeError\`,
thrown at once. What goes wrong while a server or client runs is an \`H3Error\`, with \`layer\` (below), \`remote\` (true if the
peer caused it) and, if an error code was sent or received on the wire, \`wireCode\`. A request that fails rejects as fetch does,
with a \`TypeError\` whose \`cause\` is that \`H3Error\`. \`isH3Error(value)\` holds across copies of the package. Messages are for people and may change in any version; codes do not.

## Four tiers

Whose mistake it is decides what happens. What a handler throws goes to \`error\` and the logger; nothing of it, no message and no stack, ever reaches a client.

| tier | example | the program | the client | counter of \`getStats()\` |
| --- | --- | --- | --- | --- |
| usage | an unknown option, \`withTrailers()\` with a forbidden field | the call throws a \`TypeError\` or \`RangeError\` with a \`code\` | nothing, or, in a handler, the next tier | none |
| handler | it throws, rejects, returns no Response or one that cannot be sent | \`error()\` is asked for an answer, else the logger hears it | that answer, or a plain 500; once the answer has begun, RESET_STREAM with H3_INTERNAL_ERROR | \`handlerErrors\` |
| stream | a malformed request (RFC 9114 §4.1.2) | no handler runs; one that reads a streamed body gets \`ERR_H3_PROTOCOL\` | RESET_STREAM with the code of the rule; the connection lives | \`requestsMalformed\` |
| connection | frames in a wrong order, bad SETTINGS | open requests abort; bodies end with an error | CONNECTION_CLOSE with the code of the rule | \`protocolErrors\`; floods: \`excessiveLoad\` |

A client that gives up a request, or vanishes, is no error: \`requestsAborted\`.

## Codes

The table is exported as \`ERROR_CODES\`, its keys as the type \`H3ErrorCode\`.

| code | class | layer | what happened | what to do |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}

function clientOptionsTable() {
  return tableOf([
    ...membersOf('lib/client/options.ts', 'H3ClientOptions'),
    ...membersOf('lib/identity.ts', 'IdentityOptions'),
  ]);
}

function optionRows(file, owner) {
  return tableOf(membersOf(file, owner));
}

function tableOf(options) {
  const rows = options.map(({ name, type, doc }) => row([`\`${name}\``, type, doc]));
  return ['| option | type | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}

function limitsTable() {
  const rows = membersOf('lib/options.ts', 'H3Limits').map(({ name, doc }) => {
    const [, meaning, standard] = /^(.*) Default (.+)\.$/.exec(doc) ?? [undefined, doc, 'none'];
    return row([`\`limits.${name}\``, standard, meaning]);
  });
  return ['| option | default | bounds |', '| --- | --- | --- |', ...rows].join('\n');
}

/** Imports a TypeScript source that imports nothing itself: the generator needs no build. */
async function importSource(path) {
  const { outputText } = ts.transpileModule(read(path), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`);
}

function withTable(text, file, name, table) {
  const begin = `<!-- begin ${name} -->`;
  const end = `<!-- end ${name} -->`;
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) {
    throw new StepError(`${file} has no place for its table: write ${begin} and ${end} where it belongs.`);
  }
  return `${before}${begin}\n${table}\n${end}${after}`;
}

function read(file) {
  return readFileSync(join(ROOT, file), 'utf8');
}
