// Runs the blocks of the documents that ask for it (scripts/doc-blocks.mjs).

import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import ts from 'typescript';
import { locate } from '../__test__/runtimes/locate.mjs';
import { folderOf, pathOf, sourceOf } from './doc-types.mjs';
import { ROOT } from './steps.mjs';

const DEADLINE_MS = 20_000;
const RUNTIMES = ['node', 'bun', 'deno'];
const COMPANIONS = ['beside', 'browser', 'deno'];
/** What ends an example, whose server would run on. */
const STOP = '\nsetTimeout(() => process.exit(), 100);';
/** Documents at the same time. */
const PARALLEL = 3;
/** Ports that documents name, and that may be taken on the machine that checks them. */
const PORTS = /\b(port: |listen\()(?:4433|8080|8443)\b/g;
const REQUEST = /^(GET|POST)?(\/[^=]*)(?:=(.*))?$/;

/** Runs the blocks on every runtime that is here; returns what went wrong. */
export async function runErrors(blocks) {
  const documents = byDocument(blocks);
  const errors = [];
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      for (let next = documents.shift(); next !== undefined; next = documents.shift()) {
        errors.push(...(await documentErrors(next)));
      }
    }),
  );
  return errors;
}

async function documentErrors(blocks) {
  const folder = folderOf(blocks[0].file);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const env = environment(folder);
  for (const block of blocks.filter(isScript)) writeFileSync(scriptOf(block), runnable(block));
  const errors = [];
  for (const [index, block] of blocks.entries()) {
    const at = `${block.file}:${block.line}`;
    const add = (where, error) => error !== null && errors.push(`${at}${where}: ${error}`);
    if (block.language === 'sh' && block.mode === 'run') {
      add('', await endError(start('sh', ['-eu', '-c', block.code], folder, env), block));
    } else if (block.mode === 'example') {
      // Named by the example of serveStatic.
      mkdirSync(join(folder, 'public'), { recursive: true });
      add('', await endError(start(process.execPath, [scriptOf(block)], folder, env), block));
    } else if (isScript(block) && (block.mode === 'run' || block.mode === 'serve')) {
      for (const name of RUNTIMES) {
        const runtime = locate(name);
        if ('missing' in runtime) continue;
        const program = start(runtime.command, [...runtime.args, scriptOf(block)], folder, env);
        const companions = companionsOf(blocks, index);
        add(
          `, on ${name}`,
          block.mode === 'run'
            ? await endError(program, block)
            : await serveError(program, block, companions, env),
        );
      }
    }
  }
  return errors;
}

/** The blocks that are run beside the server at `index`: up to the next server. */
function companionsOf(blocks, index) {
  const rest = blocks.slice(index + 1);
  const end = rest.findIndex(({ mode }) => mode === 'serve');
  return rest.slice(0, end === -1 ? rest.length : end).filter(({ mode }) => COMPANIONS.includes(mode));
}

/** Waits for the end of a program that should end well and print the text of its block. */
async function endError(program, { words: [text] }) {
  const { code, signal } = await program.ended;
  if (signal !== null) return `ended by ${signal}, after at most ${DEADLINE_MS} ms\n${program.output()}`;
  if (code !== 0) return `ended with exit code ${code}\n${program.output()}`;
  return printed(program, text);
}

function printed(program, text) {
  if (text === undefined || program.output().includes(decodeURIComponent(text))) return null;
  return `did not print "${decodeURIComponent(text)}", but:\n${program.output()}`;
}

/** Talks to a server, interrupts it, and waits for its end. */
async function serveError(program, { words }, companions, env) {
  const wrong = [];
  const url = await program.printed(/https:\/\/[^\s/]+:\d+/);
  if (url === null) {
    wrong.push('printed no URL');
  } else {
    wrong.push(...(await answerErrors(url, words, env)));
    for (const companion of companions) {
      const error = await companionError(companion, url, program, env);
      if (error !== null) wrong.push(`beside it, line ${companion.line}: ${error}`);
    }
  }
  program.kill('SIGINT');
  const { code, signal } = await program.ended;
  if (signal === 'SIGKILL') wrong.push(`did not end within ${DEADLINE_MS} ms`);
  else if (code !== 0 && signal !== 'SIGINT') wrong.push(`ended with ${signal ?? `exit code ${code}`}`);
  return wrong.length === 0 ? null : `${wrong.join('; ')}\n${program.output()}`;
}

async function companionError(block, url, server, env) {
  const folder = folderOf(block.file);
  const code = block.code
    .replaceAll('https://localhost:4433', url)
    .replaceAll('port: 4433', `port: ${new URL(url).port}`);
  if (block.mode === 'beside') return endError(start('sh', ['-eu', '-c', code], folder, env), block);
  const deno = locate('deno');
  if ('missing' in deno) return null;
  const args = [...deno.args, '--unstable-net', '--unsafely-ignore-certificate-errors=localhost'];
  if (block.mode === 'browser') {
    // Deno has the WebTransport of browsers; the page that the script belongs to is its location.
    const page = await server.printed(/http:\/\/[^\s/]+:\d+/);
    if (page === null) return 'the server printed no http: URL';
    args.push('--location', `${page}/`);
  }
  writeFileSync(scriptOf(block), code);
  return endError(start(deno.command, [...args, scriptOf(block)], folder, env), block);
}

/** Asks a server with Bun's fetch: the one client with HTTP/3 that npm has. */
async function answerErrors(url, requests, env) {
  const bun = locate('bun');
  if ('missing' in bun || requests.length === 0) return [];
  const program = `
    for (const request of JSON.parse(process.env.REQUESTS)) {
      const [, method = 'GET', path, expected] = ${REQUEST}.exec(request);
      const init = { protocol: 'http3', tls: { rejectUnauthorized: false }, method };
      if (method === 'POST') init.body = 'hello';
      const answer = await fetch(process.env.URL + path, init);
      const text = (await answer.text()).trim();
      if (answer.status >= 400) console.log(request + ': status ' + answer.status);
      else if (expected !== undefined && text !== decodeURIComponent(expected)) console.log(request + ': answered ' + text);
    }`;
  const client = start(bun.command, ['-e', program], process.cwd(), {
    ...env,
    URL: url,
    REQUESTS: JSON.stringify(requests),
  });
  const { code } = await client.ended;
  if (client.output() === '' && code === 0) return [];
  return [client.output().trim() || `no answer (${code})`];
}

/** A program with a deadline. */
function start(command, args, cwd, env) {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const listeners = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      for (const listener of listeners) listener();
    });
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: error.message, signal: null }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  void ended.then(() => clearTimeout(timer));
  return {
    ended,
    output: () => output,
    kill: (signal) => child.kill(signal),
    /** What the program prints that has this form; null if it ends without. */
    printed: (form) =>
      Promise.race([
        new Promise((resolve) => {
          const listener = () => {
            const found = form.exec(output)?.[0];
            if (found !== undefined) resolve(found);
          };
          listeners.add(listener);
          listener();
        }),
        ended.then(() => null),
      ]),
  };
}

/** The runtimes of the tests first on the PATH, the command of this package, and an npx that downloads nothing. */
function environment(folder) {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const name of ['bun', 'deno']) {
    const runtime = locate(name);
    if (!('missing' in runtime)) symlinkSync(runtime.command, join(bin, name));
  }
  writeFileSync(join(bin, 'npx'), '#!/bin/sh\n[ "$1" = --yes ] && shift\nexec "$@"\n');
  writeFileSync(join(bin, 'trilane'), `#!/bin/sh\nexec node '${join(ROOT, 'bin', 'trilane.mjs')}' "$@"\n`);
  for (const name of ['npx', 'trilane']) chmodSync(join(bin, name), 0o755);
  return { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, NO_COLOR: '1' };
}

function isScript({ language, mode }) {
  return (language === 'js' || language === 'ts') && mode !== 'not-run';
}

/** Node 20 runs no TypeScript: what runs is the JavaScript of a block, in a file of its own. */
function scriptOf(block) {
  return block.language === 'ts' ? `${pathOf(block)}.mjs` : pathOf(block);
}

function runnable(block) {
  const { language, mode } = block;
  const anyPort = `${sourceOf(block)}${mode === 'example' ? STOP : ''}`.replaceAll(PORTS, '$10');
  if (language === 'js') return anyPort;
  return ts.transpileModule(anyPort, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  }).outputText;
}

function byDocument(blocks) {
  const documents = new Map();
  for (const block of blocks) documents.set(block.file, [...(documents.get(block.file) ?? []), block]);
  return [...documents.values()];
}
