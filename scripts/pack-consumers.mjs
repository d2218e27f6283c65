// Programs that only compile: TypeScript consumers of an installed package, and its entry for browsers.

import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { locate } from '../__test__/runtimes/locate.mjs';
import { ROOT, runQuietly, StepError } from './steps.mjs';

const CONSUMER = `import { createH3Server, type H3ServeOptions, isH3Error, route } from 'trilane';

const options: H3ServeOptions = { port: 0, fetch: () => new Response('fallback') };
const user = route({ method: 'GET', pattern: '/users/:id', fetch: ({ params }) => new Response(params.id) });
export const server = createH3Server({
  ...options,
  routes: [user],
  error: (error) => new Response(isH3Error(error) ? error.code : 'unknown', { status: 500 }),
});
export const port: number = server.port;
export const requests: bigint = server.getStats().requests;
// @ts-expect-error: an unknown option; if everything were any, this line would fail.
createH3Server({ prot: 1 });
`;

const BROWSER_PROGRAM = `import { createH3Server } from 'trilane';
try {
  createH3Server({});
} catch (error) {
  console.log(error.code);
}
`;

/**
 * Who compiles: with the types of Node, or with those of a browser as projects of frontends have them. Declaration files are
 * checked, too. CommonJS under `node16` is not there: that setting stands for Node before 20.19, where
 * require() of a module was an error, and TypeScript says so (TS1479).
 */
const SETTINGS = [
  { file: 'consumer.mts', module: 'Node16', moduleResolution: 'Node16' },
  { file: 'consumer.mts', module: 'NodeNext', moduleResolution: 'NodeNext' },
  { file: 'consumer.cts', module: 'NodeNext', moduleResolution: 'NodeNext' },
  { file: 'consumer.ts', module: 'ESNext', moduleResolution: 'Bundler' },
  { file: 'consumer.ts', module: 'ESNext', moduleResolution: 'Bundler', dom: true },
];

/** Type-checks consumers in the folder where the package is installed. Throws StepError with what the compiler says. */
export function checkTypes(installation) {
  const folder = realpathSync(installation);
  for (const file of new Set(SETTINGS.map(({ file }) => file))) {
    writeFileSync(join(folder, file), CONSUMER);
  }
  for (const { file, module, moduleResolution, dom = false } of SETTINGS) {
    const title = `${moduleResolution}, ${file}${dom ? ', DOM' : ''}`;
    const program = ts.createProgram([join(folder, file)], {
      module: ts.ModuleKind[module],
      moduleResolution: ts.ModuleResolutionKind[moduleResolution],
      target: ts.ScriptTarget.ES2022,
      lib: dom ? ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.esnext.disposable.d.ts'] : ['lib.es2023.d.ts'],
      types: dom ? [] : ['node'],
      typeRoots: [join(ROOT, 'node_modules', '@types')],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    });
    // Only what is ours: checking all the libraries takes several times as long.
    const ours = program
      .getSourceFiles()
      .filter(({ fileName }) => fileName.startsWith(folder.replaceAll('\\', '/')));
    const diagnostics = [
      ...program.getOptionsDiagnostics(),
      ...program.getGlobalDiagnostics(),
      ...ours.flatMap((source) => [
        ...program.getSyntacticDiagnostics(source),
        ...program.getSemanticDiagnostics(source),
      ]),
    ];
    if (ours.length < 2) {
      throw new StepError(`${title}: the package was not found`);
    }
    if (diagnostics.length > 0) {
      throw new StepError(`${title}:\n${ts.formatDiagnostics(diagnostics, FORMAT)}`);
    }
    console.log(`passed   ${title}`);
  }
}

/** Fails unless the entry for browsers has every name, imports nothing of Node, and refuses to listen. */
export async function checkBrowserEntry(folder) {
  const installed = join(folder, 'node_modules', 'trilane');
  const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  const entry = join(installed, exports['.'].browser.default);
  const foreign = importsOf(entry).filter((specifier) => !specifier.startsWith('./'));
  if (foreign.length > 0) {
    throw new StepError(`the entry for browsers imports ${foreign.join(', ')}`);
  }
  const [ours, theirs] = await Promise.all(
    [join(installed, exports['.'].default), entry].map((path) => import(pathToFileURL(path))),
  );
  const lacking = Object.keys(ours).filter((name) => !(name in theirs));
  if (lacking.length > 0) {
    throw new StepError(
      `the entry for browsers lacks ${lacking.join(', ')}: a bundle of a shared module fails`,
    );
  }
  for (const name of ['WebTransport', 'WebTransportError']) {
    if (theirs[name] !== globalThis[name]) throw new StepError(`${name} is not the platform's`);
  }
  try {
    theirs.createH3Server({});
  } catch (error) {
    if (error instanceof TypeError && error.code === 'ERR_H3_BROWSER') {
      console.log(`passed   ${Object.keys(theirs).length} names; ${error.message}`);
      return;
    }
    throw new StepError(`createH3Server() in a browser throws ${error}`);
  }
  throw new StepError('createH3Server() in a browser does not throw');
}

/** Fails unless a bundler for browsers chooses that entry. Bun's is tried; without Bun, none. */
export async function checkBrowserBundle(folder) {
  const bun = locate('bun');
  if ('missing' in bun) {
    console.log(`skipped  ${bun.missing}`);
    return;
  }
  writeFileSync(join(folder, 'page.js'), BROWSER_PROGRAM);
  await runQuietly(bun.command, ['build', 'page.js', '--target=browser', '--outfile=page.bundle.mjs'], {
    cwd: folder,
  });
  const printed = await runQuietly(process.execPath, ['page.bundle.mjs'], { cwd: folder });
  if (printed !== 'ERR_H3_BROWSER\n') {
    throw new StepError(`a bundle for browsers printed: ${printed}`);
  }
  console.log('passed   a bundle for browsers has that entry');
}

/** Every specifier that `path` imports, by itself or through a file of the package. */
function importsOf(path, seen = new Set()) {
  if (seen.has(path)) {
    return [];
  }
  seen.add(path);
  const { importedFiles } = ts.preProcessFile(readFileSync(path, 'utf8'));
  return importedFiles.flatMap(({ fileName }) =>
    fileName.startsWith('.') ? [fileName, ...importsOf(join(path, '..', fileName), seen)] : [fileName],
  );
}

const FORMAT = {
  getCanonicalFileName: (name) => name,
  getCurrentDirectory: () => ROOT,
  getNewLine: () => '\n',
};
