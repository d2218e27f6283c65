// One server in an installed package, and one request to it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { locate } from '../__test__/runtimes/locate.mjs';
import { runQuietly, StepError } from './steps.mjs';

/** How long a program may take from start to end with its one request, on a machine that is busy. */
const TIMEOUT_MS = 30_000;
const LOADS = {
  import: { file: 'program.mjs', load: "import { createH3Server } from 'trilane';" },
  require: { file: 'program.cjs', load: "const { createH3Server } = require('trilane');" },
};

/**
 * Starts a program in `folder` that serves until its first answer is out, and asks it with Bun's fetch. Without Bun it only
 * starts and ends. Rejects with StepError if anything is wrong, a process that does not end by itself included.
 *
 * @param {{ name: string, command: string, args: string[] }} runtime
 * @param {'import' | 'require'} way
 * @returns {Promise<boolean>} whether it was asked
 */
export async function serveOnce(runtime, way, folder, env) {
  const { file, load } = LOADS[way];
  writeFileSync(join(folder, file), program(load));
  const client = locate('bun');
  const asked = !('missing' in client);
  const child = spawn(runtime.command, [...runtime.args, file, asked ? 'serve' : 'start'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const ended = once(child, 'close');
  let printed = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    printed += `${line}\n`;
    if (asked && line.startsWith('https://')) {
      await ask(client, line).catch((error) => {
        child.kill('SIGKILL');
        throw error;
      });
    }
  }
  const [code, signal] = await ended;
  // A warning would be printed with every start of a user's program, too.
  if (code !== 0 || !/^https:\/\/\S+\nclosed\n$/.test(printed)) {
    throw new StepError(`${runtime.name}, ${way}: ended with ${signal ?? code} and printed:\n${printed}`);
  }
  return asked;
}

function program(load) {
  return `${load}
const server = createH3Server({
  routes: [{ method: 'GET', pattern: '/hello/:name', fetch: ({ params }) => answer(params.name) }],
});
function answer(name) {
  setTimeout(end, 10);
  return new Response('hello ' + name);
}
async function end() {
  await server.stop();
  server.close();
  console.log('closed');
}
console.log(String(server.url));
if (process.argv[2] === 'start') end();
`;
}

async function ask({ command, args }, url) {
  const script = `const answer = await fetch(process.argv.at(-1), { protocol: 'http3', tls: { rejectUnauthorized: false } });
console.log(answer.status, await answer.text());`;
  const answer = await runQuietly(command, [...args, '-e', script, new URL('/hello/stranger', url).href], {
    timeoutMs: TIMEOUT_MS,
  });
  if (answer !== '200 hello stranger\n') {
    throw new StepError(`the client got: ${answer}`);
  }
}
