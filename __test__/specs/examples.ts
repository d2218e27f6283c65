// The examples that answer requests, each as a reader starts it, on the runtime that runs this.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, type OpenRequest } from '../harness/connection.js';
import { deferred, soon } from '../harness/deadline.js';
import { Example, type ExampleOptions, foreignRuntime } from '../harness/example.js';
import { patternHash } from '../harness/pattern.js';
import { withFolder } from '../harness/scratch.js';
import { DATA, payloads } from '../harness/wire.js';
import type { Spec } from './spec.js';

/** Runs `use` with an example that is up and a connection to it. */
function withExample(
  path: string,
  use: (connection: Connection, example: Example) => Promise<void>,
  options?: ExampleOptions,
): Promise<void> {
  return Example.with(
    path,
    async (example) => {
      const connection = await Connection.open(await example.url());
      try {
        await use(connection, example);
      } finally {
        await connection.close();
      }
    },
    options,
  );
}

/** Runs `use` with the proxy in front of a server of HTTP/1.1 that answers with `listener`. */
async function withProxy(
  listener: RequestListener,
  use: (connection: Connection, example: Example) => Promise<void>,
): Promise<void> {
  const origin = createServer(listener).listen(0, '127.0.0.1');
  await soon('the origin to listen', once(origin, 'listening'));
  const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
  try {
    await withExample('proxy/server.mjs', use, { args: [url] });
  } finally {
    origin.close();
    origin.closeAllConnections();
  }
}

/** Reads on until what has come matches; returns all of it. */
async function readUntil(open: OpenRequest, pattern: RegExp): Promise<string> {
  let text = '';
  while (!pattern.test(text)) {
    const { text: more, ended } = await open.read(1);
    text += more;
    if (ended) throw new Error(`the answer ended: ${text}`);
  }
  return text;
}

export const specs: Spec[] = [
  {
    name: 'hello: routes with a parameter, and a fallback',
    run: () =>
      withExample('hello/server.mjs', async (connection) => {
        assert.equal((await connection.get('/')).text, 'hello over HTTP/3\n');
        assert.deepEqual((await connection.get('/hello/J%C3%BCrgen')).json, { hello: 'Jürgen' });
        assert.equal((await connection.get('/nowhere')).status, 404);
        assert.equal((await connection.request({ method: 'POST', path: '/' })).header('allow'), 'GET, HEAD');
      }),
  },
  {
    name: 'hono: routes, JSON both ways, a stream, the address of the client',
    run: () =>
      withExample('hono/server.mjs', async (connection) => {
        assert.equal(((await connection.get('/books')).json as unknown[]).length, 2);
        assert.equal((await connection.get('/books/9')).status, 404);
        const made = await connection.request({
          method: 'POST',
          path: '/books',
          headers: [['content-type', 'application/json']],
          body: '{"title":"Dawn"}',
        });
        assert.equal(made.status, 201);
        assert.equal(made.header('location'), '/books/3');
        assert.deepEqual((await connection.get('/books/3')).json, { id: '3', title: 'Dawn' });
        const refused = await connection.request({ method: 'POST', path: '/books', body: 'no JSON' });
        assert.equal(refused.status, 400);
        assert.equal((await connection.get('/countdown')).text, '3 …\n2 …\n1 …\ndone\n');
        const { port } = (await connection.get('/whoami')).json as { port: number };
        assert.ok(port > 0);
      }),
  },
  {
    name: 'sse: events come one by one, and a client that comes back gets what it missed',
    run: () =>
      withExample('sse/server.mjs', async (connection) => {
        const open = await connection.open({ path: '/readings' });
        const first = await readUntil(open, /id: 2\n.*\n.*\n\n/);
        assert.match(
          first,
          /^retry: 1000\n\nid: 1\nevent: reading\ndata: \{"at":"[^"]+","celsius":[\d.]+\}\n\n/,
        );
        const again = await connection.open({ path: '/readings', headers: [['last-event-id', '1']] });
        assert.match(await readUntil(again, /\n\nid:/), /^retry: 1000\n\nid: 2\n/);
        const odd = await connection.open({ path: '/readings', headers: [['last-event-id', 'nonsense']] });
        assert.match(await readUntil(odd, /\n\nid:/), /^retry: 1000\n\nid: 1\n/);
        assert.match((await connection.get('/')).text, /new EventSource/);
      }),
  },
  {
    name: 'sse: its client, on Bun, comes back by itself when the server does',
    async run() {
      const bun = foreignRuntime('bun');
      if (bun === null) return;
      const server = new Example('sse/server.mjs');
      let client: Example | undefined;
      let next: Example | undefined;
      try {
        const url = await server.url();
        client = new Example('sse/client.mjs', { args: [url.href], runtime: bun });
        await client.prints(/^2: [\d.]+ °C$/m);
        await server.stop();
        await client.prints(/the stream ended|no stream/);
        next = new Example('sse/server.mjs', { env: { PORT: url.port } });
        await next.url();
        // A fresh server numbers its readings from 1 again, so the client's last id is one it does not know.
        await client.prints(/(?:the stream ended|no stream)[\s\S]*^1: [\d.]+ °C$/m);
        await next.stop();
      } finally {
        for (const process of [server, client, next]) process?.kill();
      }
    },
  },
  {
    name: 'static: files with ranges, conditional requests and caching, pages for folders, a 404 page',
    run: () =>
      withExample('static/server.mjs', async (connection) => {
        const index = await connection.get('/');
        assert.match(index.text, /A static site over HTTP\/3/);
        assert.equal(index.header('cache-control'), 'no-cache');
        const etag = index.header('etag') ?? '';
        const unchanged = await connection.get('/', { headers: [['if-none-match', etag]] });
        assert.equal(unchanged.status, 304);
        const style = await connection.get('/assets/style.3f9a1c2b.css');
        assert.equal(style.header('cache-control'), 'public, max-age=31536000, immutable');
        const part = await connection.get('/notes/numbers.txt', { headers: [['range', 'bytes=0-5']] });
        assert.equal(part.status, 206);
        assert.equal(part.text, '1 1 1\n');
        const folder = await connection.get('/notes/');
        assert.match(folder.text, /<h1>\/notes\/<\/h1>/);
        assert.match(folder.text, /<a href="\.\/numbers\.txt">numbers\.txt<\/a><\/td>\s*<td>\d+ B<\/td>/);
        assert.equal((await connection.get('/notes')).header('location'), './notes/');
        const nowhere = await connection.get('/nowhere');
        assert.equal(nowhere.status, 404);
        assert.match(nowhere.text, /There is nothing here/);
      }),
  },
  {
    name: 'static: pages for folders show nothing that is hidden, linked or outside',
    run: () =>
      withFolder(async (folder) => {
        const { symlinkSync } = await import('node:fs');
        folder.file('site/a & <b>.txt', 'x');
        folder.file('site/.secret/key', 'x');
        folder.file('outside/private', 'x');
        symlinkSync(folder.at('outside'), folder.at('site/link'));
        await withExample(
          'static/server.mjs',
          async (connection) => {
            const { text } = await connection.get('/');
            assert.match(text, /href="\.\/a%20%26%20%3Cb%3E\.txt">a &#38; &#60;b&#62;\.txt</);
            assert.doesNotMatch(text, /secret|>link/);
            const hidden = [
              '/.secret/',
              '/link/',
              '/%2e%2e/outside/',
              '/..%2foutside/',
              '/..%5coutside/',
              '/%00/',
            ];
            for (const path of hidden) {
              const { status, text: page } = await connection.get(path);
              assert.ok(
                status >= 400 && !page.includes('private') && !page.includes('key'),
                `${path}: ${status}`,
              );
            }
          },
          { args: [folder.at('site')] },
        );
      }),
  },
  {
    name: 'proxy: fields of a connection stay on it, and the upstream learns who asks',
    run: () =>
      withProxy(
        (request, response) => {
          response.setHeader('connection', 'x-hop');
          response.setHeader('x-hop', 'of this connection');
          response.setHeader('set-cookie', ['a=1', 'b=2']);
          response.statusCode = 203;
          response.end(JSON.stringify({ url: request.url, headers: request.headers }));
        },
        async (connection) => {
          const answer = await connection.get('/a%20b?c=d', {
            headers: [
              ['x-forwarded-for', '192.0.2.1'],
              ['te', 'trailers'],
              ['x-own', 'kept'],
            ],
          });
          assert.equal(answer.status, 203);
          assert.equal(answer.header('x-hop'), null);
          assert.equal(answer.header('connection'), null);
          assert.deepEqual(answer.headerValues('set-cookie'), ['a=1', 'b=2']);
          const { url, headers } = answer.json as { url: string; headers: Record<string, string> };
          assert.equal(url, '/a%20b?c=d');
          assert.match(headers['x-forwarded-for'] ?? '', /^(127\.0\.0\.1|::1|::ffff:127\.0\.0\.1)$/);
          assert.equal(headers['x-forwarded-proto'], 'https');
          assert.match(headers['x-forwarded-host'] ?? '', /^localhost:\d+$/);
          assert.match(headers['host'] ?? '', /^127\.0\.0\.1:\d+$/);
          assert.equal(headers['x-own'], 'kept');
          assert.equal(headers['te'], undefined);
          assert.equal(headers['via'], '3 trilane');
        },
      ),
  },
  {
    name: 'proxy: a long body goes through and comes back, and HEAD, 204 and 304 have none',
    run: () =>
      withProxy(
        (request, response) => {
          if (request.method === 'POST') request.pipe(response);
          else if (request.url === '/304') response.writeHead(304, { etag: '"x"' }).end();
          else if (request.url === '/204') response.writeHead(204).end();
          else response.writeHead(200, { 'content-length': '5' }).end('hello');
        },
        async (connection) => {
          const size = 5_000_000;
          const echoed = await connection.request({ method: 'POST', path: '/', bodySize: size });
          assert.equal(echoed.length, size);
          assert.equal(echoed.sha256, patternHash(size));
          const head = await connection.request({ method: 'HEAD', path: '/' });
          assert.deepEqual([head.status, head.header('content-length'), head.length], [200, '5', 0]);
          assert.deepEqual(
            [(await connection.get('/304')).status, (await connection.get('/204')).status],
            [304, 204],
          );
          assert.equal((await connection.get('/')).text, 'hello');
        },
      ),
  },
  {
    name: 'proxy: whoever asks for a tunnel is refused',
    run: () =>
      Example.with('proxy/server.mjs', async (example) => {
        const connection = await Connection.openRaw(await example.url());
        const stream = await connection.openStream();
        const headers = [
          [':method', 'CONNECT'],
          [':authority', 'example.test:80'],
        ] as const;
        await stream.write({ headers, fin: true });
        const { bytes } = await stream.read();
        assert.equal(`${payloads(bytes, DATA)}`, 'No tunnels here\n');
        await connection.close();
      }),
  },
  {
    name: 'proxy: an answer arrives while the request is still being sent',
    run: () =>
      withProxy(
        (request, response) => void request.pipe(response),
        async (connection) => {
          const open = await connection.open({ method: 'POST', body: 'first', keepOpen: true });
          assert.match(await readUntil(open, /first/), /first/);
          await open.send('second', true);
          assert.equal((await open.read()).text, 'second');
        },
      ),
  },
  {
    name: 'proxy: a client that goes away takes the request behind with it',
    async run() {
      const gone = deferred();
      await withProxy(
        (_request, response) => {
          response.on('close', () => gone.resolve());
          response.write('begun');
        },
        async (connection) => {
          const open = await connection.open();
          await readUntil(open, /begun/);
          await open.cancel();
          await soon('the upstream to hear of it', gone.promise);
        },
      );
    },
  },
  {
    name: 'proxy: an upstream that breaks off never looks complete, and one that is not there is a 502',
    async run() {
      await withProxy(
        async (_request, response) => {
          response.writeHead(200, { 'content-length': '100' });
          response.write('begun');
          await sleep(50);
          response.destroy();
        },
        async (connection, example) => {
          const answer = await connection.get('/');
          assert.notEqual(answer.error, null);
          await example.complains(/GET .* failed/);
        },
      );
      const options = { args: ['http://127.0.0.1:9'] };
      await withExample(
        'proxy/server.mjs',
        async (connection, example) => {
          assert.equal((await connection.get('/')).status, 502);
          await example.complains(/^GET \/: /m);
        },
        options,
      );
    },
  },
];
