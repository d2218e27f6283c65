// What has to be on the machine before anything can be built, and where cargo puts what it builds.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, StepError } from './steps.mjs';

/** Throws StepError if this Node is outside `engines.node` of package.json, a list of `^` and `>=`. */
export function requireNode() {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const range = manifest.engines.node;
  const { node } = process.versions;
  const fits = range.split(' || ').some((part) => {
    const least = part.replace(/^(?:\^|>=)/, '');
    const sameMajor = node.split('.')[0] === least.split('.')[0];
    return !isOlder(node, least) && (sameMajor || part.startsWith('>='));
  });
  if (!fits) {
    throw new StepError(`Node ${range} is needed, this is ${node}.`);
  }
}

/** Throws StepError if Rust or a C compiler is missing, or Rust is older than `rust-version` of Cargo.toml. */
export function requireRust() {
  const manifest = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8');
  const wanted = /^rust-version = "([\d.]+)"$/m.exec(manifest)?.[1];
  if (wanted === undefined) {
    throw new StepError('Cargo.toml names no rust-version.');
  }
  const install = `Install Rust ${wanted} or newer: https://rustup.rs`;
  for (const tool of ['rustc', 'cargo']) {
    const version = versionOf(tool);
    if (version === undefined) {
      throw new StepError(`${tool} was not found. ${install}`);
    }
    if (isOlder(version, wanted)) {
      throw new StepError(`${tool} ${version} is too old. ${install}`);
    }
  }
  if (process.platform !== 'win32' && versionOf(process.env.CC ?? 'cc') === undefined) {
    throw new StepError(
      'A C compiler is needed (cc, or the one that CC names): ring compiles C and assembler.',
    );
  }
}

/** Whether `command --version` runs; used for tools that a check can do without. */
export function isInstalled(command, ...args) {
  return versionOf(command, ...args) !== undefined;
}

/**
 * The environment in which every cargo command of the scripts runs.
 *
 * The napi CLI always passes `--target`, which moves cargo's output to target/<triple>/release. Naming the same
 * triple here makes the binding, the peer and the tests share one compilation of every dependency.
 */
export function cargoEnvironment() {
  return { CARGO_BUILD_TARGET: targetTriple() };
}

/** Where cargo's release build left the program `name`, whether or not it is there yet. */
export function releaseProgram(name) {
  return join(targetDirectory(), targetTriple(), 'release', programFile(name));
}

/** Links the program `name` to target/release/, the path that people and benchmarks know. */
export function linkReleaseProgram(name) {
  const built = releaseProgram(name);
  if (!existsSync(built)) {
    return;
  }
  const folder = join(targetDirectory(), 'release');
  const link = join(folder, programFile(name));
  mkdirSync(folder, { recursive: true });
  rmSync(link, { force: true });
  try {
    linkSync(built, link);
  } catch {
    copyFileSync(built, link);
  }
}

function programFile(name) {
  return process.platform === 'win32' ? `${name}.exe` : name;
}

function targetTriple() {
  if (process.env.CARGO_BUILD_TARGET) {
    return process.env.CARGO_BUILD_TARGET;
  }
  const host = /^host: (\S+)$/m.exec(outputOf('rustc', ['-vV']))?.[1];
  if (host === undefined) {
    throw new StepError('rustc -vV does not say which host it was built for.');
  }
  return host;
}

function targetDirectory() {
  return JSON.parse(outputOf('cargo', ['metadata', '--no-deps', '--format-version=1', '--offline']))
    .target_directory;
}

function outputOf(command, args) {
  const result = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (result.status !== 0) {
    throw new StepError(`${command} ${args.join(' ')} failed: ${result.error?.message ?? result.stderr}`);
  }
  return result.stdout;
}

function versionOf(command, ...args) {
  const result = spawnSync(command, [...args, '--version'], { cwd: ROOT, encoding: 'utf8' });
  return result.status === 0 ? (/\d+\.\d+(\.\d+)?/.exec(result.stdout)?.[0] ?? '') : undefined;
}

function isOlder(version, wanted) {
  const left = version.split('.').map(Number);
  const right = wanted.split('.').map(Number);
  for (const [index, part] of right.entries()) {
    if ((left[index] ?? 0) !== part) {
      return (left[index] ?? 0) < part;
    }
  }
  return false;
}
