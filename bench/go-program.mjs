// Peers written in Go, built here if there is Go and its modules can be had.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { once } from './child.mjs';
import { repository } from './paths.mjs';

const BUILD_MS = 900_000;
const FOLDER = join(repository, 'target', 'bench');

/** Builds bench/peers/`name`; `{ program }`, or `{ missing }` with the reason. */
export async function goProgram(name) {
  const sources = join(repository, 'bench', 'peers', name);
  const program = join(FOLDER, name);
  if (isNewer(program, sources)) return { program };
  return build(program, ['go', 'build', '-C', sources, '-o', program, '.']);
}

/** Installs a program at a fixed version, `path/of/package@v1.2.3`. */
export async function goInstalled(module, name) {
  const version = module.split('@')[1];
  const program = join(FOLDER, `${name}-${version}`);
  if (existsSync(program)) return { program };
  const installed = await build(join(FOLDER, name), ['env', `GOBIN=${FOLDER}`, 'go', 'install', module]);
  if (installed.missing) return installed;
  await once(['mv', installed.program, program], { timeoutMs: 10_000 });
  return { program };
}

async function build(program, command) {
  mkdirSync(FOLDER, { recursive: true });
  process.stderr.write(`building ${program.slice(repository.length)}\n`);
  try {
    await once(command, { timeoutMs: BUILD_MS });
    return { program };
  } catch (error) {
    return { missing: `${command.join(' ')}: ${error.message}` };
  }
}

function isNewer(program, sources) {
  if (!existsSync(program)) return false;
  const built = statSync(program).mtimeMs;
  return readdirSync(sources).every((file) => statSync(join(sources, file)).mtimeMs <= built);
}

/** The version of a module that bench/peers/`name` asks for. */
export function goVersion(name, module) {
  const manifest = readFileSync(join(repository, 'bench', 'peers', name, 'go.mod'), 'utf8');
  return (
    manifest
      .split('\n')
      .find((line) => line.includes(`${module} v`))
      ?.trim()
      .split(' ')[1] ?? ''
  );
}
