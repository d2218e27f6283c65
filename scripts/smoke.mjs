#!/usr/bin/env node
// Packs the package and this platform's binary, installs both into an empty folder, and starts and stops a server
// there on every runtime that is at hand: what a user gets from `npm install trilane`.
//
// Needs index.js and the platform's .node file beside package.json.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { locate, RUNTIME_NAMES } from '../__test__/runtimes/locate.mjs';
import { npm, ROOT, runScript, StepError, step } from './steps.mjs';

const TIMEOUT_MS = 60_000;
const PROGRAM = `
import { createH3Server } from 'trilane';
const server = createH3Server({ port: 0, fetch: () => new Response('ok') });
if (!(server.port > 0)) throw new Error('no port: ' + server.port);
await server.close();
console.log('served and closed');
`;

await runScript(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'trilane-smoke-'));
  try {
    await step('pack and install', () => install(folder));
    writeFileSync(join(folder, 'program.mjs'), PROGRAM);
    for (const name of ['node', ...RUNTIME_NAMES]) {
      tryOn(name, folder);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

async function install(folder) {
  const platform = platformPackage();
  const copy = join(folder, 'platform');
  cpSync(join(ROOT, 'npm', platform.directory), copy, { recursive: true });
  cpSync(join(ROOT, platform.file), join(copy, platform.file));
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  await npm(['pack', '--silent', '--pack-destination', folder, ROOT, copy]);
  const tarballs = readdirSync(folder).filter((file) => file.endsWith('.tgz'));
  await npm([
    'install',
    '--prefix',
    folder,
    '--no-audit',
    '--no-fund',
    ...tarballs.map((file) => join(folder, file)),
  ]);
}

/** The folder under npm/ whose binary is beside package.json. */
function platformPackage() {
  for (const directory of readdirSync(join(ROOT, 'npm'))) {
    const { main, os, cpu } = JSON.parse(readFileSync(join(ROOT, 'npm', directory, 'package.json'), 'utf8'));
    if (os.includes(process.platform) && cpu.includes(process.arch) && readdirSync(ROOT).includes(main)) {
      return { directory, file: main };
    }
  }
  throw new StepError(`no trilane.*.node for ${process.platform}-${process.arch} is beside package.json.`);
}

function tryOn(name, folder) {
  const runtime = locate(name);
  if ('missing' in runtime) {
    console.log(`skipped  ${runtime.missing}`);
    return;
  }
  const { status, stdout, stderr } = spawnSync(runtime.command, [...runtime.args, 'program.mjs'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  if (status !== 0 || !stdout.includes('served and closed')) {
    throw new StepError(`${name} ${runtime.version} failed (exit ${status}):\n${stdout}${stderr}`);
  }
  console.log(`passed   ${name} ${runtime.version}`);
}
