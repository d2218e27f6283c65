import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { bytes } from './units.js';

/** Names listed on one page: a folder with more is cut short, and says so. */
const MOST_NAMES = 5_000;

/** One name in a folder. */
interface Entry {
  readonly name: string;
  readonly isFolder: boolean;
  readonly size: number;
  readonly modified: Date | null;
}

/**
 * The page of a folder beneath `root`, or null if `path`, as a URL has it, names none. Hidden names are neither listed nor
 * entered, and links that lead out of `root` are no folders.
 */
export async function folderPage(root: string, path: string): Promise<string | null> {
  const names = decoded(path);
  if (names === null || names.some((name) => name.startsWith('.'))) return null;
  const found = await within(root, names);
  if (found === null) return null;
  const listed = (await readdir(found)).filter((name) => !name.startsWith('.')).sort(byName);
  const entries = await Promise.all(listed.slice(0, MOST_NAMES).map((name) => entryOf(found, name)));
  const sorted = [
    ...entries.filter(({ isFolder }) => isFolder),
    ...entries.filter(({ isFolder }) => !isFolder),
  ];
  return page(`/${names.map((name) => `${name}/`).join('')}`, sorted, listed.length - entries.length);
}

function decoded(path: string): string[] | null {
  try {
    const names = path
      .split('/')
      .filter((name) => name !== '')
      .map(decodeURIComponent);
    return names.some((name) => /[/\\\0]/.test(name)) ? null : names;
  } catch {
    return null;
  }
}

async function within(root: string, names: readonly string[]): Promise<string | null> {
  try {
    const real = await realpath(join(root, ...names));
    const top = await realpath(root);
    const inside = real === top || real.startsWith(top.endsWith(sep) ? top : top + sep);
    return inside && (await stat(real)).isDirectory() ? real : null;
  } catch {
    return null;
  }
}

async function entryOf(folder: string, name: string): Promise<Entry> {
  try {
    const found = await stat(join(folder, name));
    return { name, isFolder: found.isDirectory(), size: found.size, modified: found.mtime };
  } catch {
    // A link that leads nowhere, or a name that went away.
    return { name, isFolder: false, size: 0, modified: null };
  }
}

function byName(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true });
}

function page(title: string, entries: readonly Entry[], missing: number): string {
  const rows = entries.map(({ name, isFolder, size, modified }) => {
    const shown = isFolder ? `${name}/` : name;
    const target = `./${encodeURIComponent(name)}${isFolder ? '/' : ''}`;
    const date = modified === null ? '' : modified.toISOString().slice(0, 16).replace('T', ' ');
    return `<tr><td><a href="${escaped(target)}">${escaped(shown)}</a><td>${isFolder ? '' : bytes(size)}<td>${date}`;
  });
  const up = title === '/' ? '' : '<tr><td><a href="../">../</a><td><td>\n';
  const more = missing > 0 ? `<p>and ${missing} more` : '';
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>
:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } td { padding: .15rem .5rem } td + td { text-align: right; white-space: nowrap; opacity: .7 }
a { text-decoration: none } a:hover { text-decoration: underline }
</style>
<h1>${escaped(title)}</h1>
<table>
${up}${rows.join('\n')}
</table>${more}
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
