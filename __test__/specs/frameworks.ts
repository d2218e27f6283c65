import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { H3Request } from 'trilane';
import { deferred, soon } from '../harness/deadline.js';
import { rawGet } from '../harness/raw-request.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

/** What the specs use of Hono. */
interface Context {
  readonly req: {
    readonly raw: Request;
    header(name: string): string | undefined;
    param(name: string): string;
    query(name: string): string | undefined;
    json(): Promise<unknown>;
    text(): Promise<string>;
    parseBody(): Promise<Record<string, unknown>>;
  };
  text(body: string, status?: number): Response;
  json(body: unknown): Response;
  header(name: string, value: string, options?: { append: boolean }): void;
}

interface StreamWriter {
  write(text: string): Promise<unknown>;
  sleep(ms: number): Promise<unknown>;
  onAbort(listener: () => void): void;
}

type Handler = (context: Context) => Response | Promise<Response>;
type Middleware = (context: Context, next: () => Promise<void>) => unknown;

interface Hono {
  use(...middleware: (string | Middleware)[]): void;
  get(path: string, handler: Handler): void;
  post(path: string, handler: Handler): void;
  delete(path: string, handler: Handler): void;
  fetch(request: Request): Response | Promise<Response>;
}

const require = createRequire(import.meta.url);
const { Hono: HonoApp } = require('hono') as { Hono: new () => Hono };
const { bodyLimit } = require('hono/body-limit') as { bodyLimit(options: { maxSize: number }): Middleware };
const { compress } = require('hono/compress') as { compress(): Middleware };
const { methodOverride } = require('hono/method-override') as {
  methodOverride(options: { app: Hono; header?: string }): Middleware;
};
const { streamText } = require('hono/streaming') as {
  streamText(context: Context, write: (stream: StreamWriter) => Promise<void>): Response;
};

/** Runs `run` with a Hono application that `build` fills, served as it is. */
function withHono(build: (app: Hono) => void, run: (stage: Stage) => Promise<void>): Promise<void> {
  const app = new HonoApp();
  build(app);
  return withServer({ fetch: app.fetch }, run);
}

/** Runs `run` with a server that passes every request on to `origin`, a plain server of HTTP/1.1. */
async function withProxy(
  origin: Parameters<typeof createServer>[1],
  run: (stage: Stage) => Promise<void>,
): Promise<void> {
  const server: Server = createServer(origin);
  server.listen(0, '127.0.0.1');
  await soon('the origin to listen', once(server, 'listening'));
  const { port } = server.address() as AddressInfo;
  const fetchOrigin = (request: H3Request): Promise<Response> => {
    const url = new URL(request.url);
    url.protocol = 'http:';
    url.host = `127.0.0.1:${port}`;
    return fetch(new Request(url, new Request(request)));
  };
  try {
    await withServer({ fetch: fetchOrigin }, run);
  } finally {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await soon('the origin to close', closed);
  }
}

export const specs: Spec[] = [
  {
    name: 'Hono routes, reads and answers',
    run: () =>
      withHono(
        (app) => {
          app.get('/users/:id', (c) =>
            c.json({ id: c.req.param('id'), q: c.req.query('q'), a: c.req.header('x-a') }),
          );
          app.post('/json', async (c) => c.json({ got: await c.req.json() }));
          app.post('/form', async (c) => c.json(await c.req.parseBody()));
          app.get('/cookies', (c) => {
            c.header('set-cookie', 'a=1', { append: true });
            c.header('set-cookie', 'b=2', { append: true });
            return c.text('cookies');
          });
        },
        async ({ connection }) => {
          const user = await connection.get('/users/7?q=%C3%BC', { headers: [['x-a', 'b']] });
          assert.deepEqual(user.json, { id: '7', q: 'ü', a: 'b' });
          const posted = await connection.request({ method: 'POST', path: '/json', body: '{"a":1}' });
          assert.deepEqual(posted.json, { got: { a: 1 } });
          const form = await connection.request({
            method: 'POST',
            path: '/form',
            headers: [['content-type', 'application/x-www-form-urlencoded']],
            body: 'a=1&b=2',
          });
          assert.deepEqual(form.json, { a: '1', b: '2' });
          assert.deepEqual((await connection.get('/cookies')).headerValues('set-cookie'), ['a=1', 'b=2']);
          assert.equal((await connection.get('/nowhere')).status, 404);
          assert.equal((await connection.request({ method: 'HEAD', path: '/users/7' })).status, 200);
        },
      ),
  },
  {
    name: "Hono's bodyLimit lets through what fits and refuses the rest, with and without content-length",
    run: () =>
      withHono(
        (app) => {
          app.use(bodyLimit({ maxSize: 1000 }));
          app.post('/', async (c) => c.text(`${(await c.req.text()).length}`));
        },
        async ({ connection }) => {
          for (const size of [1000, 1001]) {
            for (const headers of [[], [['content-length', `${size}`]]] as [string, string][][]) {
              const answer = await connection.request({ method: 'POST', bodySize: size, headers });
              assert.equal(answer.status, size === 1000 ? 200 : 413);
            }
          }
        },
      ),
  },
  {
    name: "Hono's methodOverride, which makes a new Request of ours, works",
    run: () =>
      withHono(
        (app) => {
          app.use(methodOverride({ app, header: 'x-method' }));
          app.delete('/thing', async (c) => c.text(`deleted ${await c.req.text()}`));
        },
        async ({ connection }) => {
          // Bun takes Headers without any entry for "keep those of the request", so one is left besides.
          const headers = [
            ['x-method', 'DELETE'],
            ['x-other', 'kept'],
          ] as const;
          const answer = await connection.request({ method: 'POST', path: '/thing', headers, body: 'it' });
          assert.equal(answer.text, 'deleted it');
        },
      ),
  },
  {
    name: "Hono's compress sends gzip that can be read",
    run: () =>
      withHono(
        (app) => {
          app.use(compress());
          app.get('/', (c) => {
            // Bun's Response does not tell a program that text has a type, and Hono compresses by type.
            c.header('content-type', 'text/plain');
            return c.text('compress me '.repeat(1000));
          });
        },
        async ({ connection }) => {
          const answer = await connection.get('/', { headers: [['accept-encoding', 'gzip']] });
          assert.equal(answer.header('content-encoding'), 'gzip');
          assert.equal(`${gunzipSync(answer.bytes)}`, 'compress me '.repeat(1000));
          const plain = await connection.get('/');
          assert.equal(plain.header('content-encoding'), null);
          assert.equal(plain.text, 'compress me '.repeat(1000));
        },
      ),
  },
  {
    name: "Hono's streamText arrives piece by piece",
    run: () =>
      withHono(
        (app) => {
          app.get('/', (c) =>
            streamText(c, async (stream) => {
              for (let n = 0; n < 5; n++) {
                await stream.write(`${n}\n`);
                await stream.sleep(5);
              }
            }),
          );
        },
        async ({ connection }) => {
          const open = await connection.open();
          assert.ok((await open.read(2)).text.startsWith('0\n'));
          assert.ok((await open.read()).ended);
        },
      ),
  },
  {
    name: "Hono's streamText hears that its client is gone",
    async run() {
      const aborted = deferred();
      await withHono(
        (app) => {
          app.get('/', (c) =>
            streamText(c, async (stream) => {
              let gone = false;
              stream.onAbort(() => {
                gone = true;
                aborted.resolve();
              });
              while (!gone) {
                await stream.write('more\n');
                await stream.sleep(2);
              }
            }),
          );
        },
        async ({ connection, server }) => {
          const stream = await rawGet(connection, server.url);
          await stream.read(100);
          await stream.stop(0x10c);
          await soon('onAbort', aborted.promise);
        },
      );
    },
  },
  {
    name: 'fetch(new Request(req)) passes a request on to another server, and its answer back',
    run: () =>
      withProxy(
        async (request, response) => {
          const chunks: Buffer[] = [];
          for await (const chunk of request) chunks.push(chunk as Buffer);
          response.setHeader('set-cookie', ['a=1', 'b=2']);
          response.setHeader('connection', 'keep-alive');
          response.setHeader('x-seen', `${request.method} ${request.url} ${request.headers['x-a']}`);
          response.statusCode = 201;
          response.end(Buffer.concat(chunks));
        },
        async ({ connection }) => {
          const headers = [['x-a', 'b']] as const;
          const body = 'grüße '.repeat(1000);
          const answer = await connection.request({ method: 'PUT', path: '/a/b?c=d', headers, body });
          assert.equal(answer.status, 201);
          assert.equal(answer.text, body);
          assert.equal(answer.header('x-seen'), 'PUT /a/b?c=d b');
          assert.deepEqual(answer.headerValues('set-cookie'), ['a=1', 'b=2']);
          assert.equal(answer.header('connection'), null);
          assert.equal((await connection.get('/')).length, 0);
          const head = await connection.request({ method: 'HEAD', path: '/x' });
          assert.equal(head.header('x-seen'), 'HEAD /x undefined');
        },
      ),
  },
  {
    name: 'a proxied answer in gzip, which fetch decodes, has neither its coding nor its length any more',
    run: () =>
      withProxy(
        async (_request, response) => {
          const { gzipSync } = await import('node:zlib');
          const body = gzipSync('plain text '.repeat(500));
          response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': `${body.length}` });
          response.end(body);
        },
        async ({ connection }) => {
          const answer = await connection.get('/');
          assert.equal(answer.error, null);
          assert.equal(answer.text, 'plain text '.repeat(500));
          assert.equal(answer.header('content-encoding'), null);
        },
      ),
  },
  {
    name: 'a proxied stream arrives piece by piece',
    run: () =>
      withProxy(
        async (_request, response) => {
          for (let n = 0; n < 5; n++) {
            response.write(`${n}`);
            await sleep(5);
          }
          response.end();
        },
        async ({ connection }) => {
          assert.equal((await connection.get('/')).text, '01234');
        },
      ),
  },
];
