// What the documents say about the repository, compared with the repository.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { membersOf } from './doc-source.mjs';
import { ROOT } from './steps.mjs';

const LINK = /\]\(([^)\s]+)\)/g;
const CODE = /`([^`\n]+)`/g;
const SOURCE_PATH = /^(?:[\w.-]+\/)+[\w.-]+\.(?:rs|ts|mjs|md|toml|yml|cts|cjs)$/;
const CONSTANT = /^[A-Z][A-Z0-9_]{3,}$/;
const UNITS = { KiB: 2 ** 10, MiB: 2 ** 20 };

/** What is wrong with the links, paths, constants, commands and error codes that `text`, the content of `file`, names. */
export function factErrors(file, text) {
  const withoutBlocks = text.replaceAll(/^```[\s\S]*?^```$/gm, (block) => block.replaceAll(/[^\n]/g, ''));
  return withoutBlocks
    .split('\n')
    .flatMap((line, index) =>
      [...linkErrors(file, line), ...codeErrors(line), ...scriptErrors(line)].map(
        (error) => `${file}:${index + 1}: ${error}`,
      ),
    );
}

/** Where the defaults that `lib/options.ts` documents are not those of the core. */
export function defaultErrors() {
  const rust = coreDefaults();
  return membersOf('lib/options.ts', 'H3Limits').flatMap(({ name, doc }) => {
    const [, digits, unit] = /Default ([\d,]+|none)(?: (KiB|MiB))?\.$/.exec(doc) ?? [];
    const documented = digits === 'none' ? 'none' : Number(digits?.replaceAll(',', '')) * (UNITS[unit] ?? 1);
    const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const actual = rust.get(snake) ?? rust.get(snake.replace(/_(?:ms|bytes)$/, ''));
    return documented === actual
      ? []
      : [
          `lib/options.ts: limits.${name} has the default ${documented}, in crates/core/src/limits.rs ${actual}`,
        ];
  });
}

function coreDefaults() {
  const source = read('crates/core/src/limits.rs');
  const body = source.slice(source.indexOf('impl Default for Limits'));
  const defaults = new Map();
  for (const [, name, expression] of body.matchAll(/^ {12}(\w+): (.+),$/gm)) {
    if (expression === 'None') {
      defaults.set(name, 'none');
      continue;
    }
    const [, seconds] = /^Duration::from_secs\((\d+)\)$/.exec(expression) ?? [];
    const factors = expression.replaceAll('_', '').split(' * ').map(Number);
    defaults.set(name, seconds ? Number(seconds) * 1000 : factors.reduce((product, next) => product * next));
  }
  return defaults;
}

function linkErrors(file, line) {
  return [...line.matchAll(LINK)].flatMap(([, target]) => {
    if (/^[a-z]+:/.test(target)) return [];
    const [path, anchor] = target.split('#');
    const linked = path === '' ? file : join(dirname(file), path);
    if (!existsSync(join(ROOT, linked))) return [`no file ${linked}`];
    return anchor === undefined || anchorsOf(linked).has(anchor)
      ? []
      : [`no heading #${anchor} in ${linked}`];
  });
}

function anchorsOf(file) {
  const text = read(file);
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
  return new Set([...headings, ...[...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)]);
}

/** Paths must exist; a constant beside paths in a row of a table must be defined in one of them; error codes must be in the table. */
function codeErrors(line) {
  const spans = [...line.matchAll(CODE)].map(([, span]) => span);
  const paths = spans.filter((span) => SOURCE_PATH.test(span));
  const missing = paths.filter((path) => !existsSync(join(ROOT, path)));
  const present = paths.filter((path) => !missing.includes(path));
  const isRow = line.startsWith('|');
  const constants = isRow && present.length > 0 ? spans.filter((span) => CONSTANT.test(span)) : [];
  const undefinedOnes = constants.filter(
    (name) => !present.some((path) => new RegExp(`\\bconst ${name}\\b`).test(read(path))),
  );
  const codes = [...line.matchAll(/\bERR_H3_[A-Z_]+/g)].map(([code]) => code);
  return [
    ...missing.map((path) => `no file ${path}`),
    ...undefinedOnes.map((name) => `${name} is defined in none of ${present.join(', ')}`),
    ...codes.filter((code) => !read('lib/errors.ts').includes(`${code}: {`)).map((code) => `no code ${code}`),
  ];
}

function scriptErrors(line) {
  const { scripts } = JSON.parse(read('package.json'));
  return [...line.matchAll(/npm run ([\w:]+)/g)]
    .filter(([, name]) => scripts[name] === undefined)
    .map(([, name]) => `package.json has no script "${name}"`);
}

function read(file) {
  return readFileSync(join(ROOT, file), 'utf8');
}
