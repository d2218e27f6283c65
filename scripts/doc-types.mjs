// Type-checks the TypeScript and JavaScript blocks of the documents.

import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { ROOT } from './steps.mjs';

/** Inside the package, so that `import 'trilane'` finds it, and ignored by git. */
const FOLDER = join(ROOT, 'target', 'check-docs');

/** Where the files of a document are. */
export function folderOf(file) {
  return join(FOLDER, file.replaceAll(/\W/g, '-'));
}

/** The file of a block. */
export function pathOf({ file, line, language, name }) {
  return join(folderOf(file), name ?? `line-${line}.${language === 'ts' ? 'ts' : 'mjs'}`);
}

/** The code of a block as a module: an example imports what it uses of the package. */
export function sourceOf({ mode, code }) {
  if (mode !== 'example') return code;
  const names = exportedNames().filter((name) => new RegExp(`\\b${name}\\b`).test(code));
  // In the same line, so that places in it stay right.
  return `import { ${names.join(', ')} } from 'trilane'; ${code}`;
}

/** The values that the built package exports. */
function exportedNames() {
  const lists = readFileSync(join(ROOT, 'index.js'), 'utf8').matchAll(/^export \{(.+?)\}/gm);
  return [...lists]
    .flatMap(([, list]) => list.split(',').map((name) => name.split(' as ').pop().trim()))
    .filter(Boolean);
}

/** What the compiler says of the blocks, each line with its place in the document. */
export function typeErrors(blocks) {
  const scripts = blocks.filter(
    ({ language, mode }) => (language === 'js' || language === 'ts') && mode !== 'not-run' && mode !== 'deno',
  );
  const forBrowsers = scripts.filter(({ mode }) => mode === 'browser');
  const others = scripts.filter(({ mode }) => mode !== 'browser');
  return [
    ...errorsOf(others, (options) => ({ lib: [...options.lib, 'lib.esnext.disposable.d.ts'] })),
    ...errorsOf(forBrowsers, () => ({
      types: [],
      lib: ['lib.esnext.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts', 'lib.dom.asynciterable.d.ts'],
    })),
  ];
}

function errorsOf(blocks, change) {
  if (blocks.length === 0) return [];
  const virtual = new Map(blocks.map((block) => [pathOf(block), { ...block, code: sourceOf(block) }]));
  // The compiler looks for imported files only in folders that exist.
  for (const path of virtual.keys()) mkdirSync(dirname(path), { recursive: true });
  const { options } = ts.getParsedCommandLineOfConfigFile(
    join(ROOT, 'tsconfig.json'),
    { noEmit: true, allowJs: true, checkJs: true, noUnusedLocals: false, noUnusedParameters: false },
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} },
  );
  Object.assign(options, change(options));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => virtual.has(path) || fileExists(path);
  host.readFile = (path) => virtual.get(path)?.code ?? readFile(path);
  host.getSourceFile = (path, target, ...rest) => {
    const block = virtual.get(path);
    return block === undefined
      ? getSourceFile(path, target, ...rest)
      : ts.createSourceFile(path, block.code, target, true);
  };
  const program = ts.createProgram([...virtual.keys()], options, host);
  return [...virtual].flatMap(([path, block]) => {
    const source = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ start, messageText }) => {
        const { line } = source.getLineAndCharacterOfPosition(start ?? 0);
        return `${block.file}:${block.line + line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
      },
    );
  });
}
