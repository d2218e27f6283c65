#!/usr/bin/env node
// Fills docs/standards.md: where each rule is enforced and which test proves it, from the citations in the sources.
//
//   node scripts/standards.mjs             writes the two last columns and the counts
//   node scripts/standards.mjs --check     writes nothing; fails if the document is out of date, or a citation names no rule
//   node scripts/standards.mjs --gaps      lists the rules without code or without a test
//
// A citation is a rule's id in a comment: at the line that enforces the rule, or at the test that proves it. In tests it may
// also be a value. A rule with the breach "–" cannot be checked by either side, or is not ours; its row says why.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, runScript, StepError } from './steps.mjs';

const PAGE = 'docs/standards.md';
const FOLDERS = ['crates', 'lib', '__test__'];
const SOURCE = /\.(rs|ts|py|go|json)$/;
const PASSED_OVER = /^(node_modules|target|\.venv)$|\.d\.ts$/;

const ID = /\bRFC\d{4}-\d+(?:\.\d+)*(?:-[a-z0-9]+)+\b/g;
const COUNTS = /<!-- begin counts -->[\s\S]*<!-- end counts -->/;
const GAP = '**gap**';

/** What a citation can belong to, and the lines that may stand between a comment and its function. */
const FUNCTION =
  /^\s*(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe )*(?:fn|function|def|func)\s+(?:\([^)]*\)\s*)?(\w+)/;
const TYPE =
  /^\s*(?:pub(?:\([^)]*\))? )?(?:export )?(?:struct|enum|trait|const|static|class|interface) (\w+)/;
const NAMED_CASE =
  /\bname: '((?:[^'\\]|\\.)+)'|"(?:name|check)": "((?:[^"\\]|\\.)+)"|^\s*(?:\.{3}\w+\()?'((?:[^'\\]|\\.)+)'[:,]/;
const ATTRIBUTE = /^\s*(\/\/|#\[|\/?\*|@|#(?!\w))/;

const { values } = parseArgs({
  options: { check: { type: 'boolean', default: false }, gaps: { type: 'boolean', default: false } },
});

await runScript(() => {
  const text = readFileSync(join(ROOT, PAGE), 'utf8');
  const { filled, rules } = fill(text, citations());
  if (values.gaps) {
    for (const rule of rules.filter(({ state }) => state !== 'kept' && state !== 'not ours')) {
      console.log(`${rule.id}: ${rule.state}`);
    }
  } else if (values.check) {
    if (filled !== text) {
      throw new StepError(`${PAGE} is out of date. Run node scripts/standards.mjs and commit the result.`);
    }
  } else if (filled !== text) {
    writeFileSync(join(ROOT, PAGE), filled);
    console.log(`wrote ${PAGE}`);
  }
  console.log(summary(rules));
});

/** The document with its generated parts renewed, and its rules. Fails on an id that is listed twice or cited but not listed. */
function fill(text, cited) {
  const rules = [];
  const lines = text.split('\n').map((line) => {
    const [id, rule, breach] = cells(line);
    if (!/^RFC\d/.test(id ?? '')) {
      return line;
    }
    const { enforced = [], proven = [] } = cited.get(id) ?? {};
    rules.push({ id, state: stateOf(breach, enforced, proven) });
    return breach === '–'
      ? `| ${id} | ${rule} | ${breach} | – | – |`
      : `| ${id} | ${rule} | ${breach} | ${places(enforced)} | ${places(proven)} |`;
  });
  const ids = rules.map(({ id }) => id);
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
  const unknown = [...cited].filter(([id]) => !ids.includes(id)).map(([id, { at }]) => `${id} (${at})`);
  if (twice.length > 0 || unknown.length > 0) {
    const words = [
      ...twice.map((id) => `${id} is listed twice`),
      ...unknown.map((id) => `${id} is not listed`),
    ];
    throw new StepError(`${PAGE}: ${words.join('; ')}`);
  }
  const counts = `<!-- begin counts -->\n${summary(rules)}\n<!-- end counts -->`;
  return { filled: lines.join('\n').replace(COUNTS, counts), rules };
}

/** The cells of a table's row; of another line, what stands between its bars. */
function cells(line) {
  return line.startsWith('| ')
    ? line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim())
    : [];
}

function stateOf(breach, enforced, proven) {
  if (breach === '–') return 'not ours';
  if (enforced.length > 0 && proven.length > 0) return 'kept';
  if (enforced.length > 0) return 'no test';
  return proven.length > 0 ? 'no code cited' : 'neither code nor test';
}

function summary(rules) {
  const count = (state) => rules.filter((rule) => rule.state === state).length;
  const words = ['kept', 'no test', 'no code cited', 'neither code nor test', 'not ours'].map(
    (state) => `${state} ${count(state)}`,
  );
  return `${rules.length} rules: ${words.join(', ')}.`;
}

/** Markdown links to files, each with the names of what cites the rule there. */
function places(found) {
  if (found.length === 0) {
    return GAP;
  }
  const files = [...new Set(found.map(({ file }) => file))];
  return files
    .map((file) => {
      const names = new Set(found.filter((one) => one.file === file).map(({ name }) => `\`${name}\``));
      return `[${shortName(file)}](../${file}) ${[...names].join(', ')}`;
    })
    .join('; ');
}

/** `http3/src/qpack/decode.rs` for `crates/http3/src/qpack/decode.rs`. */
function shortName(file) {
  return file.replace(/^crates\//, '').replace(/^__test__\//, '');
}

/** Every citation, by rule id: `enforced` and `proven`, each a list of `{ file, name }`. */
function citations() {
  const cited = new Map();
  for (const file of FOLDERS.flatMap(sources)) {
    const lines = readFileSync(join(ROOT, file), 'utf8').split('\n');
    const testsFrom = testsBegin(file, lines);
    for (const [index, line] of lines.entries()) {
      for (const [id] of line.matchAll(ID)) {
        const isTest = index >= testsFrom;
        const entry = cited.get(id) ?? { enforced: [], proven: [], at: `${file}:${index + 1}` };
        entry[isTest ? 'proven' : 'enforced'].push({ file, name: nameAt(lines, index, file) });
        cited.set(id, entry);
      }
    }
  }
  return cited;
}

/** The paths of all sources below a folder, sorted, from the root of the repository. */
function sources(folder) {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (PASSED_OVER.test(entry.name)) return [];
      if (entry.isDirectory()) return sources(path);
      return SOURCE.test(entry.name) ? [path] : [];
    });
}

/** The index of the first line that is a test: of a file of tests, 0. */
function testsBegin(file, lines) {
  if (/(^__test__\/|\/tests\/|\/tests\.rs$)/.test(file)) {
    return 0;
  }
  const inline = lines.findIndex((line) => /^\s*#\[cfg\(test\)\]/.test(line));
  return inline === -1 || !/^\s*mod \w+ \{/.test(lines[inline + 1] ?? '') ? Number.POSITIVE_INFINITY : inline;
}

/** What a citation belongs to: the function or type whose comment it is in, else the function or named case around it. */
function nameAt(lines, index, file) {
  const nameOf = (line) => {
    const found = FUNCTION.exec(line) ?? (file.startsWith('__test__/') ? NAMED_CASE.exec(line) : null);
    return found
      ?.slice(1)
      .find((name) => name !== undefined)
      ?.replaceAll('|', '\\|');
  };
  let below = index;
  while (below < lines.length && ATTRIBUTE.test(lines[below])) below += 1;
  const typed = below > index ? TYPE.exec(lines[below] ?? '')?.[1] : undefined;
  const here = nameOf(lines[below] ?? '') ?? typed;
  if (here !== undefined) {
    return here;
  }
  for (let above = index; above >= 0; above -= 1) {
    const name = nameOf(lines[above]);
    if (name !== undefined) {
      return name;
    }
  }
  return 'module';
}

if (!existsSync(join(ROOT, PAGE))) {
  throw new StepError(`${PAGE} is missing.`);
}
