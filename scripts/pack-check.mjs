#!/usr/bin/env node
// `npm run pack:check -- npm bun pnpm yarn yarn@1 deno npm@10 npm@11`: the package as a stranger installs it.
//
// Packs the package and this platform's binary, installs them with each package manager (default: npm) into an empty folder,
// and there, on each runtime, imports and requires the package and serves one request over HTTP/3 to Bun's fetch.
// Then TypeScript programs are type-checked against what npm installed, the names of the browser's entry are compared, and the
// error is read that a missing platform package gives. What was tried is written to target/reports. Needs dist/ and the platform's .node file beside package.json.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { locate } from '../__test__/runtimes/locate.mjs';
import { packAll, platformHere, serveRegistry } from './local-registry.mjs';
import { checkBrowserBundle, checkBrowserEntry, checkTypes } from './pack-consumers.mjs';
import { serveOnce } from './pack-serve.mjs';
import { ALIASES, isolate, MANAGERS, runtime } from './package-managers.mjs';
import { printTimings, ROOT, runQuietly, runScript, StepError, step } from './steps.mjs';

const { positionals } = parseArgs({ allowPositionals: true });

await runScript(async () => {
  const names = (positionals.length === 0 ? ['npm'] : positionals).map((name) => ALIASES[name] ?? name);
  const unknown = names.find((name) => !Object.hasOwn(MANAGERS, name));
  if (unknown !== undefined) {
    const known = [...Object.keys(MANAGERS), ...Object.keys(ALIASES)].join(', ');
    throw new StepError(`"${unknown}" is no package manager of this script: ${known}`, 2);
  }
  const folder = mkdtempSync(join(tmpdir(), 'trilane-pack-'));
  let registry;
  try {
    registry = await serveRegistry(await step('pack', () => packAll(folder)));
    const rows = [];
    for (const name of names) {
      rows.push(...(await step(name, () => tryManager(name, join(folder, `with-${name}`), registry.url))));
    }
    if (names.includes('npm')) {
      const installed = join(folder, 'with-npm', 'project');
      await step('types', () => checkTypes(installed));
      await step('browser entry', async () => {
        await checkBrowserEntry(installed);
        await checkBrowserBundle(installed);
      });
      await step('without the platform package', () => tryWithout(join(folder, 'without'), registry.url));
    }
    report(rows);
    printTimings();
  } finally {
    registry?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});

/** Installs with one package manager and serves with each runtime that goes with it, by import and by require. */
async function tryManager(name, folder, registry) {
  const manager = MANAGERS[name];
  const { project, env } = emptyProject(folder, registry);
  await manager.install(project, env);
  const rows = [];
  for (const runtime of manager.runtimes()) {
    const ways = ['import', 'require'];
    const [asked] = await Promise.all(ways.map((way) => serveOnce(runtime, way, project, env)));
    const remark = asked ? '' : ' (started and closed; there is no Bun to ask it)';
    console.log(`passed   ${name}, ${runtime.name} ${runtime.version}: ${ways.join(' and ')}${remark}`);
    rows.push({ manager: name, runtime: runtime.name, version: runtime.version, asked });
  }
  return rows;
}

/** What was tried: `npm run tested` makes the table of platforms in the README of it. */
function report(rows) {
  const platform = platformHere().manifest.main.split('.')[1];
  const node = process.versions.node.split('.')[0];
  const reports = join(ROOT, 'target', 'reports');
  mkdirSync(reports, { recursive: true });
  const text = JSON.stringify(
    { kind: 'packed', platform, date: new Date().toISOString().slice(0, 10), rows },
    null,
    2,
  );
  writeFileSync(join(reports, `packed-${platform}-node${node}.json`), `${text}\n`);
}

/** Installs without optional dependencies: what the import then says, on each kind of runtime. */
async function tryWithout(folder, registry) {
  const { project, env } = emptyProject(folder, registry);
  await MANAGERS.npm.install(project, env, ['--omit=optional']);
  writeFileSync(
    join(project, 'program.mjs'),
    `import('trilane').then(
      () => { throw new Error('the import succeeded'); },
      (error) => console.log(JSON.stringify([error.name, error.code, error.message])),
    );`,
  );
  for (const name of ['node', 'bun', 'deno']) {
    if ('missing' in locate(name)) {
      console.log(`skipped  ${name}`);
      continue;
    }
    const { command, args } = runtime(name);
    const printed = await runQuietly(command, [...args, 'program.mjs'], { cwd: project, env });
    const [errorName, code, message] = JSON.parse(printed);
    const wanted = ['@trilane/binding-', 'is not installed', '--omit=optional', 'another platform'];
    const lacking = wanted.filter((words) => !message.includes(words));
    if (errorName !== 'H3Error' || code !== 'ERR_H3_NATIVE' || lacking.length > 0) {
      throw new StepError(`${name}: the error lacks ${lacking.join(', ')}: ${printed}`);
    }
    console.log(`passed   ${name} says: ${message.split('\n')[0]}`);
  }
}

function emptyProject(folder, registry) {
  const project = join(folder, 'project');
  const home = join(folder, 'home');
  mkdirSync(project, { recursive: true });
  mkdirSync(home);
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true }\n');
  return { project, env: isolate(project, home, registry) };
}
