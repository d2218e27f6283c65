// The TypeScript and JavaScript blocks of the documents: found, type-checked, and run.
//
// Every block must type-check as a module of its own. Behind the language, a block may say that it is run as well:
//
//   ```js run                          must end by itself, with exit code 0
//   ```js serve /users/42={"id":"42"}  must print its URL, answer each path (POST/path sends "hello") with a status below 400
//                                      and, behind "=", with this text (percent-encoded), and end when it is interrupted

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { locate } from '../__test__/runtimes/locate.mjs';
import { ROOT } from './steps.mjs';

const DEADLINE_MS = 20_000;
const FENCE = /^```(ts|js)\b *(.*)$/;
const REQUEST = /^(GET|POST)?(\/[^=]*)(?:=(.*))?$/;
const RUNTIMES = ['node', 'bun', 'deno'];
/** Inside the package, so that `import 'trilane'` finds it, and ignored by git. */
const FOLDER = join(ROOT, 'target', 'check-docs');

/** The blocks of `text`, the content of `file`. */
export function blocksOf(file, text) {
  const blocks = [];
  let open = null;
  text.split('\n').forEach((content, index) => {
    if (open === null) {
      const [, language, info] = FENCE.exec(content) ?? [];
      if (language !== undefined) {
        open = { file, line: index + 2, language, words: info.split(/ +/), lines: [] };
      }
    } else if (content === '```') {
      blocks.push({ ...open, code: open.lines.join('\n') });
      open = null;
    } else {
      open.lines.push(content);
    }
  });
  return blocks;
}

/** What the compiler says of the blocks, each line with its place in the document. */
export function typeErrors(blocks) {
  const virtual = new Map(blocks.map((block) => [pathOf(block), block]));
  const { options } = ts.getParsedCommandLineOfConfigFile(
    join(ROOT, 'tsconfig.json'),
    { noEmit: true, allowJs: true, checkJs: true, noUnusedLocals: false, noUnusedParameters: false },
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} },
  );
  options.lib = [...options.lib, 'lib.esnext.disposable.d.ts'];
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

/** Runs the blocks that ask for it, on every runtime that is here; returns what went wrong. */
export async function runErrors(blocks) {
  mkdirSync(FOLDER, { recursive: true });
  const errors = [];
  for (const block of blocks.filter(({ words }) => words[0] === 'run' || words[0] === 'serve')) {
    const file = pathOf(block, 'mjs');
    writeFileSync(file, runnable(block));
    for (const name of RUNTIMES) {
      const runtime = locate(name);
      if ('missing' in runtime) continue;
      const error = await runBlock(block, file, runtime);
      if (error !== null) errors.push(`${block.file}:${block.line}, on ${name}: ${error}`);
    }
  }
  return errors;
}

function pathOf({ file, line, language }, extension = language) {
  return join(FOLDER, `${file.replaceAll(/\W/g, '-')}-${line}.${extension}`);
}

function runnable({ code, language }) {
  // A port that the document names may be taken on the machine that checks it.
  const anyPort = code.replaceAll('port: 4433', 'port: 0');
  if (language === 'js') return anyPort;
  return ts.transpileModule(anyPort, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  }).outputText;
}

async function runBlock({ words: [mode, ...requests] }, file, { command, args }) {
  const child = spawn(command, [...args, file], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let foundUrl;
  const printedUrl = new Promise((resolve) => {
    foundUrl = resolve;
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      const url = /https:\/\/[^\s/]+:\d+/.exec(output)?.[0];
      if (url !== undefined) foundUrl(url);
    });
  }
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
  try {
    let wrong = [];
    if (mode === 'serve') {
      const url = await Promise.race([printedUrl, ended]);
      if (typeof url === 'string') wrong = await answerErrors(url, requests);
      child.kill('SIGINT');
    }
    const { code, signal } = await ended;
    const interrupted = mode === 'serve' && signal === 'SIGINT';
    if (signal === 'SIGKILL') wrong.push(`did not end within ${DEADLINE_MS} ms`);
    else if (code !== 0 && !interrupted) wrong.push(`ended with ${signal ?? `exit code ${code}`}`);
    return wrong.length === 0 ? null : `${wrong.join('; ')}\n${output}`;
  } finally {
    clearTimeout(timer);
  }
}

/** Asks a server with Bun's fetch: the one client with HTTP/3 that npm has. */
async function answerErrors(url, requests) {
  const bun = locate('bun');
  if ('missing' in bun) return [];
  const program = `
    const [, method = 'GET', path, expected] = ${REQUEST}.exec(process.env.REQUEST);
    const init = { protocol: 'http3', tls: { rejectUnauthorized: false }, method };
    if (method === 'POST') init.body = 'hello';
    const answer = await fetch(process.env.URL + path, init);
    const text = (await answer.text()).trim();
    if (answer.status >= 400) console.log('status ' + answer.status);
    else if (expected !== undefined && text !== decodeURIComponent(expected)) console.log('answered ' + text);`;
  const errors = [];
  for (const request of requests) {
    const env = { ...process.env, URL: url, REQUEST: request };
    const child = spawn(bun.command, ['-e', program], { env, timeout: DEADLINE_MS / 2 });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    if (said !== '' || code !== 0) errors.push(`${request}: ${said.trim() || `no answer (${code})`}`);
  }
  return errors;
}
