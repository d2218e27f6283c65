// The code blocks of the documents, and what each asks for. Behind the language of a block stands how it is checked:
//
//   ```js run text            must end by itself, with exit code 0, and print the text
//   ```js serve /a=text …     must print its URL, answer each path (POST/path sends "hello") with a status below 400 and this
//                             text, and end when it is interrupted
//   ```js browser text        a script of a page: must end and print the text, beside the server of the `serve` block above it
//   ```js deno text           the same for a program that only Deno can run; it is not type-checked
//   ```sh run text            must end with exit code 0 and print the text
//   ```sh beside text         the same while the server of the `serve` block above it runs
//   ```sh                     each line is a command that is known to be right (`commandErrors`)
//   ```json                   must parse
//   ```… not-run: reason      cannot be run here, and why
//   ```                       a figure, or what a program prints
//
// The examples in docs/api are whole programs but for the import of what they use, and run for a moment.
//
// Texts are percent-encoded, and may be left out. What runs beside a server finds it where it says `https://localhost:4433` or
// `port: 4433`. TypeScript and JavaScript type-check as modules of their own, and run on
// each runtime that is here. A block whose first line is `// name.mjs` is that file: later blocks of the document can import it
// and its commands can name it. The blocks of a document run in their order, in one folder.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './steps.mjs';

const FENCE = /^```(\S*) *(.*)$/;
const NAME = /^(?:\/\/|#) ([\w-]+(?:\.[\w-]+)*\.(?:mjs|js|ts|mts))$/;
const NOT_RUN = /^not-run: \S/;

/** Words that a block may begin with, by language. */
const MODES = {
  js: ['run', 'serve', 'browser', 'deno'],
  ts: ['run', 'serve', 'browser', 'example'],
  sh: ['', 'run', 'beside'],
  json: [''],
  '': [''],
};

/** Pages that typedoc makes. Their blocks are the examples of comments. */
const REFERENCE = 'docs/api/';

/** The blocks of `text`, the content of `file`. */
export function blocksOf(file, text) {
  const blocks = [];
  let open = null;
  text.split('\n').forEach((content, index) => {
    if (open === null) {
      const [, language, info] = FENCE.exec(content) ?? [];
      if (language !== undefined) open = { file, line: index + 2, language, info, lines: [] };
    } else if (content === '```') {
      blocks.push(finished(open));
      open = null;
    } else {
      open.lines.push(content);
    }
  });
  return blocks;
}

/** What is wrong with what the blocks ask for, and with commands and JSON. */
export function blockErrors(blocks) {
  return blocks.flatMap((block) => {
    const at = `${block.file}:${block.line}: `;
    if (block.mode === 'not-run') return [];
    if (!MODES[block.language]?.includes(block.mode)) {
      return [
        `${at}a block of "${block.language}" that asks for "${block.info}": see scripts/doc-blocks.mjs`,
      ];
    }
    if (block.language === 'json') return jsonErrors(block).map((error) => at + error);
    if (block.language === 'sh' && block.mode === '') {
      return commandErrors(block, blocks).map((error) => at + error);
    }
    return [];
  });
}

function finished({ file, line, language, info, lines }) {
  const code = lines.join('\n');
  if (file.startsWith(REFERENCE)) return { file, line, language, info, mode: 'example', words: [], code };
  const [mode, ...words] = NOT_RUN.test(info) ? ['not-run'] : info.split(/ +/);
  return { file, line, language, info, mode, words, code, name: NAME.exec(lines[0] ?? '')?.[1] };
}

function jsonErrors({ code }) {
  try {
    JSON.parse(code);
    return [];
  } catch (error) {
    return [error.message];
  }
}

/** Programs and the arguments before a file of the document. */
const START =
  /^(?:[A-Z_]+=\S+ )?(?:node|bun|deno run (?:--allow-net --allow-ffi --allow-read --allow-env|--allow-net --unstable-net(?: --unsafely-ignore-certificate-errors=localhost)?)) (\S+)$/;
const SCRIPT = /^npm (?:run )?([\w:]+)(?: -- .+)?$/;
/** What `__test__/specs/examples.ts` and `examples-sessions.ts` start, and their clients. */
const EXAMPLE = /^(?:node|bun) (examples\/[\w-]+\/[\w-]+\.mjs)(?: \S+)?$/;
const INSTALL = /^(?:npm init -y|(?:npm install|bun add) trilane|deno add npm:trilane)$/;

/**
 * A command may install the package, start a file of the document or an example, or run a script of package.json; what runs
 * those is tested elsewhere. Everything else asks for `run` or `beside`, or says why not.
 */
function commandErrors({ file, code }, blocks) {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const isNamed = (name) => blocks.some((block) => block.file === file && block.name === name);
  return code
    .split('\n')
    .map((line) => line.replace(/ +#.*$/, '').trim())
    .filter((command) => {
      const [, started] = START.exec(command) ?? [];
      const [, script] = SCRIPT.exec(command) ?? [];
      const [, example] = EXAMPLE.exec(command) ?? [];
      if (started !== undefined && isNamed(started)) return false;
      if (example !== undefined) return !existsSync(join(ROOT, example));
      if (script !== undefined && scripts[script] !== undefined) return false;
      return command !== '' && !INSTALL.test(command);
    })
    .map((command) => `nothing checks the command "${command}"`);
}
