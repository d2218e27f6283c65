#!/usr/bin/env node
// `npm run changelog`: the list of a release in CHANGELOG.md, made of its conventional commits by git-cliff (cliff.toml). See --help.
//
// The notes are written by hand, for users; the list leaves nothing out.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { npmQuietly, ROOT, runScript, StepError } from './steps.mjs';

const FILE = join(ROOT, 'CHANGELOG.md');
const UNRELEASED = '## [Unreleased]\n';
const VERSION = /^v?(\d+\.\d+\.\d+(?:-[\w.]+)?)$/;

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  allowPositionals: true,
});

const HELP = `npm run changelog                     prints the list of what was committed since the last tag
npm run changelog -- 1.2.3            turns "Unreleased" into the section of 1.2.3, its notes first, then the list
npm run changelog -- --check 1.2.3    writes nothing and fails unless the list of 1.2.3 is the one that its commits make`;

await runScript(async () => {
  if (values.help) {
    console.log(HELP);
    return;
  }
  if (positionals.length === 0) {
    console.log(await listOfCommits());
    return;
  }
  const version = VERSION.exec(positionals[0])?.[1];
  if (version === undefined) {
    throw new StepError(`"${positionals[0]}" is no version such as 1.2.3`, 2);
  }
  const text = readFileSync(FILE, 'utf8');
  const list = `<!-- begin commits of ${version} -->\n### Commits\n\n${await listOfCommits()}\n<!-- end commits of ${version} -->\n`;
  if (!values.check) {
    writeFileSync(FILE, release(text, version, list));
  } else if (!text.includes(list)) {
    throw new StepError(`CHANGELOG.md does not have the commits of ${version}. It should have:\n\n${list}`);
  }
  console.log(`CHANGELOG.md has the commits of ${version}`);
});

/** Gives the notes under "Unreleased" their version; where the version has its section, adds or renews the list. */
function release(text, version, list) {
  const begin = text.indexOf(`<!-- begin commits of ${version} -->`);
  if (begin !== -1) {
    const last = `<!-- end commits of ${version} -->\n`;
    return text.slice(0, begin) + list + text.slice(text.indexOf(last) + last.length);
  }
  const section = text.indexOf(`\n## [${version}]`);
  if (section !== -1) {
    const next = /\n(?=## \[|\[Unreleased\]: )/.exec(text.slice(section + 1));
    const at = section + 1 + next.index;
    return `${text.slice(0, at).trimEnd()}\n\n${list}${text.slice(at)}`;
  }
  const start = text.indexOf(UNRELEASED) + UNRELEASED.length;
  const end = text.indexOf('\n## [', start);
  const date = new Date().toISOString().slice(0, 10);
  const notes = text.slice(start, end).trim();
  const released = `## [${version}] - ${date}\n\n${notes === '' ? '' : `${notes}\n\n`}${list}`;
  return linkTo(version, `${text.slice(0, start)}\n${released}${text.slice(end)}`);
}

/** The comparisons that the headings link to. */
function linkTo(version, text) {
  const link = /^\[Unreleased\]: (.+)\/compare\/v(.+)\.\.\.HEAD$/m;
  const [, repository, previous] = link.exec(text) ?? [];
  if (repository === undefined) {
    throw new StepError('CHANGELOG.md has no link for [Unreleased].');
  }
  return text.replace(
    link,
    `[Unreleased]: ${repository}/compare/v${version}...HEAD\n[${version}]: ${repository}/compare/v${previous}...v${version}`,
  );
}

/** The commits between the last tag before HEAD and HEAD; all, if there is none. */
async function listOfCommits() {
  const described = git('describe', '--tags', '--abbrev=0', '--match', 'v*', 'HEAD^');
  const range = described.status === 0 ? [`${described.stdout.trim()}..HEAD`] : [];
  const list = await npmQuietly(['exec', '--no', '--', 'git-cliff', '--strip', 'all', ...range]);
  return list.trim() === '' ? 'None that a user can notice.' : list.trim().replaceAll(/\n{3,}/g, '\n\n');
}

function git(...args) {
  return spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
}
