import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

/** Entries of one page. */
const MAX_ENTRIES = 1000;
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A page that lists the folder which `request` names beneath `root`; null if there is none, or none to be shown. */
export async function folderPage(root, request) {
  const { pathname } = new URL(request.url);
  const names = namesOf(pathname);
  if (names === null) return null;
  try {
    const path = await realpath(join(root, ...names));
    const whole = await realpath(root);
    // A link may lead out of the folder.
    if (path !== whole && !path.startsWith(whole + sep)) return null;
    const entries = await readdir(path, { withFileTypes: true });
    if (!pathname.endsWith('/')) return redirect(`./${pathname.split('/').at(-1)}/`);
    const shown = entries.filter((entry) => !entry.name.startsWith('.') && !entry.isSymbolicLink());
    const rows = await Promise.all(
      shown
        .sort(byKindAndName)
        .slice(0, MAX_ENTRIES)
        .map((entry) => row(path, entry)),
    );
    return new Response(page(names, rows, shown.length), {
      headers: { 'content-type': 'text/html; charset=utf-8' },
    });
  } catch {
    return null;
  }
}

/** The names of a path, decoded; null if one is hidden or none that a file can have. */
function namesOf(pathname) {
  const names = [];
  for (const part of pathname.split('/')) {
    if (part === '') continue;
    let name;
    try {
      name = decodeURIComponent(part);
    } catch {
      return null;
    }
    if (name.startsWith('.') || /[/\\\0]/.test(name)) return null;
    names.push(name);
  }
  return names;
}

function redirect(location) {
  return new Response(null, { status: 308, headers: { location } });
}

function byKindAndName(one, other) {
  return (
    other.isDirectory() - one.isDirectory() || one.name.localeCompare(other.name, 'en', { numeric: true })
  );
}

async function row(path, entry) {
  const { size, mtime } = await stat(join(path, entry.name));
  const slash = entry.isDirectory() ? '/' : '';
  return `<tr><td><a href="./${encodeURIComponent(entry.name)}${slash}">${escaped(entry.name)}${slash}</a></td>
<td>${entry.isDirectory() ? '' : inUnits(size)}</td>
<td><time datetime="${mtime.toISOString()}">${mtime.toISOString().slice(0, 16).replace('T', ' ')}</time></td></tr>`;
}

function inUnits(bytes) {
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit]}`;
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

function page(names, rows, count) {
  const title = `/${names.map((name) => `${escaped(name)}/`).join('')}`;
  const up = names.length === 0 ? '' : '<p><a href="../">← one up</a></p>';
  const rest = count > rows.length ? `<p>${count - rows.length} more are not shown.</p>` : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>
:root { --line: light-dark(#dcdfe6, #343945); --quiet: light-dark(#596070, #a0a8b8); --link: light-dark(#1f62d0, #7fb0ff); }
body { margin: 0 auto; max-width: 48rem; padding: 2rem 1.25rem; background: light-dark(#fff, #14161b); color: light-dark(#1b1e25, #e9ebf0); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.35rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 0.45rem 0.75rem 0.45rem 0; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--quiet); font-size: 0.875rem; font-weight: 600; }
td:first-child { overflow-wrap: anywhere; }
th:nth-child(n + 2) { width: 1%; white-space: nowrap; }
th:nth-child(2), td:nth-child(2) { padding-right: 2rem; text-align: right; }
td:nth-child(n + 2) { color: var(--quiet); font-variant-numeric: tabular-nums; white-space: nowrap; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
</style>
</head>
<body>
<h1>${title}</h1>
${up}
<table>
<thead><tr><th>Name</th><th>Size</th><th>Changed (UTC)</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
${rest}
</body>
</html>
`;
}
