// Bun's own HTTP/3 server (lsquic): `bun bun-server.js <cert.pem> <key.pem>`. Prints its URL; a line on standard input stops it.

import { readFileSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

interface BunServer {
  readonly url: URL;
  stop(): Promise<void>;
}

interface BunRuntime {
  serve(options: object): BunServer;
}

const { Bun: bun } = globalThis as unknown as { Bun: BunRuntime };
const [, , cert = '', key = ''] = process.argv;
const download = Uint8Array.from({ length: 20 << 20 }, (_, at) => at % 251);
let aborted = 0;

function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      await sleep(1);
      controller.enqueue(new Uint8Array(10_000));
    },
    cancel() {
      aborted += 1;
    },
  });
}

function broken(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      controller.enqueue(new Uint8Array(1_000));
      await sleep(20);
      controller.error(new Error('broken off'));
    },
  });
}

async function lengthOf(request: Request): Promise<number> {
  let length = 0;
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) length += chunk.byteLength;
  return length;
}

async function fetch(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname.startsWith('/number/')) return new Response(pathname.slice('/number/'.length));
  switch (pathname) {
    case '/hello':
      return new Response('hello');
    case '/echo':
      return new Response(await request.arrayBuffer());
    case '/length':
      return new Response(`${await lengthOf(request)}`);
    case '/download':
      return new Response(download);
    case '/headers':
      return new Response('', { headers: { 'x-large': request.headers.get('x-large') ?? '' } });
    case '/endless':
      return new Response(endless());
    case '/broken':
      return new Response(broken());
    case '/aborted':
      return new Response(`${aborted}`);
    case '/slow':
      await sleep(500);
      return new Response('slow');
    default:
      return new Response('nothing here', { status: 404 });
  }
}

const server = bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  http3: true,
  tls: { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') },
  maxRequestBodySize: 1 << 30,
  fetch,
});
process.stdout.write(`${server.url.href}\n`);
process.stdin.once('data', () => {
  void server.stop().then(() => process.exit(0));
});
process.stdin.once('end', () => process.exit(0));
