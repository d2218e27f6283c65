// docs/files.md: every source file of the package with one line, so that no file is unheard of. The line is the file's own: of
// Rust its `//!`, of TypeScript its first comment, or that of what it exports under its name.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { row } from './doc-source.mjs';
import { ROOT } from './steps.mjs';

/** The folders in the order in which a request passes through them. */
const FOLDERS = [
  { folder: 'crates/http3/src', title: 'Bytes and rules of HTTP/3' },
  { folder: 'crates/core/src', title: 'The core, without JavaScript' },
  { folder: 'crates/binding/src', title: 'The border' },
  { folder: 'lib', title: 'JavaScript' },
];

/** A comment and what it belongs to. */
const EXPORT =
  /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\s*export (?:abstract |async )?(class|function|const|interface|type) (\w+)/g;

/** The text of docs/files.md. Throws if a file does not say what it is. */
export function filesPage() {
  const sections = FOLDERS.map(({ folder, title }) => {
    const rows = sourceFiles(folder).map((file) => row([`\`${file}\``, lineOf(file)]));
    return `## ${title}: \`${folder}\`\n\n| file | what it is |\n| --- | --- |\n${rows.join('\n')}\n`;
  });
  return `<!-- Generated from the first lines of the sources by scripts/file-list.mjs. -->

# Every file

[The architecture](architecture.md) says how they work together. Tests are left out.

${sections.join('\n')}`;
}

function sourceFiles(folder) {
  return readdirSync(join(ROOT, folder), { recursive: true })
    .map((path) => `${folder}/${path.replaceAll('\\', '/')}`)
    .filter((path) => /\.(?:rs|ts)$/.test(path) && !path.endsWith('.d.ts') && !/\btests\b/.test(path))
    .sort();
}

function lineOf(file) {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const comment = file.endsWith('.rs') ? /^(?:\/\/!.*\n)+/.exec(text)?.[0] : typeScriptComment(file, text);
  const words = comment
    ?.replaceAll(/^\s*(?:\/\/!?|\/\*\*|\*\/|\*)|\*\/$/gm, ' ')
    .replaceAll(/\[([^\]]*)\](?!\()/g, '$1')
    .replaceAll(/\{@link (\S+?)\}/g, '$1')
    .replaceAll(/\s+/g, ' ')
    .trim();
  if (!words) throw new Error(`${file} does not say what it is: begin it with a comment`);
  return /^.*?[.:;](?=\s|$)/.exec(words)?.[0].replace(/[.:;]$/, '') ?? words;
}

/** The comment at the top; else that of the export with the file's name, of the first class or function, or of the first export. */
function typeScriptComment(file, text) {
  const top = /^(?:\/\/.*\n)+/.exec(text)?.[0];
  if (top !== undefined) return top;
  const name = file.replace(/^.*\//, '').replace(/\.ts$/, '').replaceAll('-', '');
  const exported = [...text.matchAll(EXPORT)].map(([, comment, kind, noun]) => ({ comment, kind, noun }));
  const found =
    exported.find(({ noun }) => noun.toLowerCase() === name) ??
    exported.find(({ kind }) => kind === 'class') ??
    exported.find(({ kind }) => kind === 'function') ??
    exported[0];
  return found?.comment;
}
