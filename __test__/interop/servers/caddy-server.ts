// Caddy's HTTP/3 in front of a server of node:http: `node caddy-server.js <caddy> <cert.pem> <key.pem>`. Prints its URL; a line on
// standard input stops Caddy.

import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const [, , caddy = '', cert = '', key = ''] = process.argv;
const download = Uint8Array.from({ length: 20 << 20 }, (_, at) => at % 251);
let aborted = 0;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? '/';
  const text = (content: string): void => {
    response.setHeader('content-type', 'text/plain');
    response.end(content);
  };
  if (path.startsWith('/number/')) return text(path.slice('/number/'.length));
  switch (path) {
    case '/hello':
      return text('hello');
    case '/echo':
      request.pipe(response);
      return;
    case '/length': {
      let length = 0;
      for await (const chunk of request) length += (chunk as Uint8Array).byteLength;
      return text(`${length}`);
    }
    case '/download':
      response.end(download);
      return;
    case '/headers':
      response.setHeader('x-large', request.headers['x-large'] ?? '');
      return text('');
    case '/trailers':
      response.setHeader('trailer', 'x-sum');
      response.write('content');
      response.addTrailers({ 'x-sum': 'f00d' });
      response.end();
      return;
    case '/endless':
      response.on('close', () => {
        aborted += 1;
      });
      while (!response.closed) {
        response.write(download.subarray(0, 10_000));
        await sleep(1);
      }
      return;
    case '/broken':
      response.write(download.subarray(0, 1_000));
      await sleep(20);
      response.destroy();
      return;
    case '/aborted':
      return text(`${aborted}`);
    case '/slow':
      await sleep(500);
      return text('slow');
    default:
      response.statusCode = 404;
      return text('nothing here');
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** Waits until Caddy says that it serves. */
async function serving(child: ChildProcess): Promise<void> {
  let text = '';
  for await (const chunk of child.stderr ?? []) {
    text += String(chunk);
    if (text.includes('serving initial configuration')) return;
  }
  throw new Error(`Caddy did not start: ${text}`);
}

const backend = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
await once(backend, 'listening');
const port = await freePort();
const folder = mkdtempSync(join(tmpdir(), 'trilane-caddy-'));
const config = join(folder, 'Caddyfile');
writeFileSync(
  config,
  `{
  admin off
  auto_https off
  persist_config off
  grace_period 5s
}
https://127.0.0.1:${port} {
  bind 127.0.0.1
  tls ${cert} ${key}
  reverse_proxy 127.0.0.1:${(backend.address() as AddressInfo).port} {
    flush_interval -1
  }
}
`,
);
const child = spawn(caddy, ['run', '--config', config, '--adapter', 'caddyfile'], {
  stdio: ['ignore', 'ignore', 'pipe'],
  env: { ...process.env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
});
try {
  await serving(child);
  child.stderr?.resume();
  process.stdout.write(`https://127.0.0.1:${port}/\n`);
  await Promise.race([once(process.stdin, 'data'), once(process.stdin, 'end')]);
} finally {
  const ended = once(child, 'exit');
  if (child.exitCode === null && child.kill('SIGTERM')) await ended;
  backend.close();
  backend.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
