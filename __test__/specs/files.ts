import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, truncateSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Response as FastResponse, fileResponse, type H3Request, isH3Error } from 'trilane';
import { deferred, soon, until } from '../harness/deadline.js';
import { measuredMemory } from '../harness/measured.js';
import { rawGet } from '../harness/raw-request.js';
import { type Folder, withFolder } from '../harness/scratch.js';
import { type Stage, withServer } from '../harness/stage.js';
import type { Spec } from './spec.js';

const H3_INTERNAL_ERROR = 0x102;
const H3_REQUEST_CANCELLED = 0x10c;
const MEBIBYTE = 2 ** 20;

/** Runs `run` with a folder and a server whose answers `fetch` makes from it. */
function withFiles(
  fetch: (folder: Folder, request: H3Request) => Response | Promise<Response>,
  run: (stage: Stage, folder: Folder) => Promise<void>,
  limits = {},
): Promise<void> {
  return withFolder((folder) =>
    withServer({ fetch: (request) => fetch(folder, request), limits }, (stage) => run(stage, folder)),
  );
}

function coded(code: string): (error: unknown) => boolean {
  return (error) => (error as { code?: unknown }).code === code;
}

export const specs: Spec[] = [
  {
    name: 'a file is sent with type, length, validators and accept-ranges',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('a.txt')),
        async ({ connection }, folder) => {
          folder.file('a.txt', 'grüße');
          const answer = await connection.get();
          assert.equal(answer.status, 200);
          assert.equal(answer.text, 'grüße');
          assert.equal(answer.header('content-type'), 'text/plain;charset=utf-8');
          assert.equal(answer.header('content-length'), '7');
          assert.equal(answer.header('accept-ranges'), 'bytes');
          assert.match(answer.header('etag') ?? '', /^"7-[0-9a-f]+"$/);
          assert.match(answer.header('last-modified') ?? '', / GMT$/);
        },
      ),
  },
  {
    name: 'a file: URL and a path beyond ASCII are paths of files',
    run: () =>
      withFiles(
        (folder) => fileResponse(pathToFileURL(folder.at('日本 ü.json'))),
        async ({ connection }, folder) => {
          folder.file('日本 ü.json', '[]');
          const answer = await connection.get();
          assert.equal(answer.text, '[]');
          assert.equal(answer.header('content-type'), 'application/json');
        },
      ),
  },
  {
    name: 'status, headers and contentType of the handler win',
    run: () =>
      withFiles(
        (folder) =>
          fileResponse(folder.at('a.txt'), {
            status: 404,
            contentType: 'text/x-mine',
            headers: { 'x-a': 'ü', 'content-length': '99' },
          }),
        async ({ connection }, folder) => {
          folder.file('a.txt', 'text');
          const answer = await connection.get('/', { headers: [['if-none-match', '*']] });
          assert.equal(answer.status, 404);
          assert.equal(answer.text, 'text');
          assert.equal(answer.header('content-type'), 'text/x-mine');
          assert.equal(answer.header('content-length'), '4');
          assert.equal(answer.header('etag'), null);
        },
      ),
  },
  {
    name: 'a large file arrives whole',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('a.bin')),
        async ({ connection }, folder) => {
          const content = new Uint8Array(5 * MEBIBYTE).map((_, index) => index % 251);
          folder.file('a.bin', content);
          const answer = await connection.get();
          assert.equal(answer.error, null);
          assert.equal(answer.length, content.byteLength);
          assert.equal(answer.sha256, createHash('sha256').update(content).digest('hex'));
        },
      ),
  },
  {
    name: 'HEAD has the headers of GET; conditions and ranges are honoured for GET and HEAD only',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('a.txt')),
        async ({ connection }, folder) => {
          folder.file('a.txt', '0123456789');
          const get = await connection.get();
          const head = await connection.request({ method: 'HEAD' });
          assert.equal(head.length, 0);
          for (const name of ['content-length', 'etag', 'last-modified', 'content-type']) {
            assert.equal(head.header(name), get.header(name), name);
          }
          const etag = get.header('etag') as string;
          const asking = async (method: string, ...headers: [string, string][]) => {
            const answer = await connection.request({ method, headers });
            return [answer.status, answer.length];
          };
          assert.deepEqual(await asking('GET', ['if-none-match', etag]), [304, 0]);
          assert.deepEqual(await asking('HEAD', ['if-none-match', `"x", W/${etag}`]), [304, 0]);
          assert.deepEqual(await asking('POST', ['if-none-match', etag]), [200, 10]);
          assert.deepEqual(await asking('GET', ['if-match', '"other"']), [412, 0]);
          assert.deepEqual(
            await asking('GET', ['if-modified-since', get.header('last-modified') as string]),
            [304, 0],
          );
          assert.deepEqual(await asking('GET', ['range', 'bytes=2-4']), [206, 3]);
          assert.deepEqual(await asking('GET', ['range', 'bytes=2-4'], ['if-range', etag]), [206, 3]);
          assert.deepEqual(await asking('GET', ['range', 'bytes=2-4'], ['if-range', '"x"']), [200, 10]);
          assert.deepEqual(await asking('GET', ['range', 'bytes=0-1,3-4']), [200, 10]);
          assert.deepEqual(await asking('GET', ['range', 'bytes=10-']), [416, 0]);
          assert.deepEqual(await asking('HEAD', ['range', 'bytes=2-4']), [200, 0]);
          assert.deepEqual(await asking('POST', ['range', 'bytes=2-4']), [200, 10]);
        },
      ),
  },
  {
    name: 'a range comes with its place in the file',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('a.txt')),
        async ({ connection }, folder) => {
          folder.file('a.txt', '0123456789');
          const part = await connection.get('/', { headers: [['range', 'bytes=-3']] });
          assert.equal(part.text, '789');
          assert.equal(part.header('content-range'), 'bytes 7-9/10');
          assert.equal(part.header('content-length'), '3');
          const none = await connection.get('/', { headers: [['range', 'bytes=99-']] });
          assert.equal(none.header('content-range'), 'bytes */10');
        },
      ),
  },
  {
    name: 'a file that cannot be sent goes to the error handler with its code, which may answer with another file',
    run: () =>
      withFolder(async (folder) => {
        folder.file('404.html', 'not here');
        mkdirSync(folder.at('folder'));
        const errors: unknown[] = [];
        const error = (thrown: unknown): Response => {
          errors.push(thrown);
          return fileResponse(folder.at('404.html'), { status: 404 });
        };
        const fetch = ({ url }: H3Request): Response => fileResponse(folder.at(new URL(url).pathname));
        await withServer({ fetch, error }, async ({ connection }) => {
          for (const [path, code] of [
            ['/nothing', 'ERR_H3_FILE_NOT_FOUND'],
            ['/404.html/x', 'ERR_H3_FILE_NOT_FOUND'],
            ['/folder', 'ERR_H3_FILE_NOT_REGULAR'],
          ] as const) {
            const answer = await connection.get(path);
            assert.equal(answer.status, 404);
            assert.equal(answer.text, 'not here');
            const thrown = errors.pop();
            assert.ok(
              isH3Error(thrown) && thrown.code === code && !thrown.remote,
              `${path}: ${String(thrown)}`,
            );
            assert.equal((await connection.request({ method: 'HEAD', path })).status, 404);
            errors.pop();
          }
        });
      }),
  },
  {
    name: 'without an error handler a file that is not there is a plain 500 and a line in the log',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('nothing')),
        async ({ connection, log }) => {
          const answer = await connection.get('/asked');
          assert.equal(answer.status, 500);
          assert.ok(!answer.text.includes('nothing'), 'the path is nobody’s business');
          const [line] = log.take();
          assert.match(String(line?.[0]), /GET https:.*\/asked failed/);
          assert.ok(coded('ERR_H3_FILE_NOT_FOUND')(line?.[1]));
        },
      ),
  },
  {
    name: 'an error handler whose own file is not there is a plain 500',
    run: () =>
      withFolder(async (folder) => {
        const gone = (): Response => fileResponse(folder.at('nothing'));
        await withServer({ fetch: gone, error: gone }, async ({ connection, log }) => {
          assert.equal((await connection.get()).status, 500);
          assert.equal(log.take().length, 1);
        });
      }),
  },
  {
    name: 'a header that HTTP/3 forbids on a file is a 500 before the file is opened',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('a.txt'), { headers: { te: 'gzip' } }),
        async ({ connection, log }, folder) => {
          folder.file('a.txt', 'text');
          assert.equal((await connection.get()).status, 500);
          assert.ok(coded('ERR_H3_HEADER')(log.take()[0]?.[1]));
        },
      ),
  },
  {
    name: 'arguments that cannot be used throw at once',
    async run() {
      const call = fileResponse as (...parameters: unknown[]) => Response;
      for (const path of [undefined, 1, '', 'a\0b', new URL('https://localhost/a')]) {
        assert.throws(() => call(path), coded('ERR_H3_OPTION_TYPE'), String(path));
      }
      assert.throws(() => call('a', { stat: 1 }), coded('ERR_H3_OPTION_UNKNOWN'));
      assert.throws(() => call('a', 5), coded('ERR_H3_OPTION_TYPE'));
      assert.throws(() => call('a', { contentType: '' }), coded('ERR_H3_OPTION_TYPE'));
      for (const status of [101, 206, 600]) {
        assert.throws(() => call('a', { status }), coded('ERR_H3_RESPONSE_STATUS'), `${status}`);
      }
      for (const status of [204, 304]) {
        assert.throws(() => call('a', { status }), coded('ERR_H3_RESPONSE_BODY'), `${status}`);
      }
    },
  },
  {
    name: 'a file response is a Response that can be read, wrapped and changed',
    run: () =>
      withFolder(async (folder) => {
        const path = folder.file('a.txt', 'text');
        const response = fileResponse(path);
        assert.ok(response instanceof Response && response instanceof FastResponse);
        assert.equal(response.headers.get('content-type'), 'text/plain;charset=utf-8');
        assert.equal(await response.text(), 'text');
        const fetch = ({ url }: H3Request): Response => {
          const made = fileResponse(path);
          if (url.endsWith('/wrapped')) return new Response(made.body, made);
          made.headers.set('x-late', 'yes');
          return made;
        };
        await withServer({ fetch }, async ({ connection }) => {
          assert.equal((await connection.get('/wrapped')).text, 'text');
          const changed = await connection.get('/changed');
          assert.deepEqual([changed.text, changed.header('x-late')], ['text', 'yes']);
        });
      }),
  },
  {
    name: 'a file that shrinks while it is sent is a reset and a line in the log',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('a.bin')),
        async ({ connect, log, server }, folder) => {
          const length = 32 * MEBIBYTE;
          folder.file('a.bin', '');
          truncateSync(folder.at('a.bin'), length);
          const slow = await connect({ streamReceiveWindow: 64 * 1024 });
          const open = await slow.open();
          truncateSync(folder.at('a.bin'), length - 1);
          const answer = await open.read();
          assert.equal(answer.error?.code, H3_INTERNAL_ERROR);
          await until('the exchange to end', () => server.getStats().requestsActive === 0);
          await until('the log', () => log.size > 0);
          assert.ok(coded('ERR_H3_FILE_CHANGED')(log.take()[0]?.[1]));
        },
      ),
  },
  {
    name: 'a client that stops reading a file aborts the signal of its request',
    run: async () => {
      const seen = deferred<H3Request>();
      await withFiles(
        (folder, request) => {
          seen.resolve(request);
          return fileResponse(folder.at('a.bin'));
        },
        async ({ connection, server }, folder) => {
          folder.file('a.bin', '');
          truncateSync(folder.at('a.bin'), 64 * MEBIBYTE);
          const stream = await rawGet(connection, server.url);
          const { signal } = await seen.promise;
          await stream.read(100_000);
          const aborted = once(signal, 'abort');
          await stream.stop(H3_REQUEST_CANCELLED);
          await soon('the signal to abort', aborted);
          assert.equal((signal.reason as { wireCode?: unknown }).wireCode, H3_REQUEST_CANCELLED);
        },
      );
    },
  },
  {
    name: 'a client that vanishes ends the sending of a file',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('a.bin')),
        async ({ connection, server }, folder) => {
          folder.file('a.bin', '');
          truncateSync(folder.at('a.bin'), 64 * MEBIBYTE);
          const open = await connection.open();
          await open.read(1);
          await connection.vanish();
          await until('the exchange to end', () => server.getStats().requestsActive === 0);
        },
        { idleTimeoutMs: 300 },
      ),
  },
  {
    name: 'a server that stops by force ends the sending of a file',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('a.bin')),
        async ({ connection, server }, folder) => {
          folder.file('a.bin', '');
          truncateSync(folder.at('a.bin'), 64 * MEBIBYTE);
          const open = await connection.open();
          await open.read(1);
          await soon('stop(true)', server.stop(true));
          assert.ok((await open.read()).error !== null);
        },
      ),
  },
  {
    name: 'a file of a gibibyte costs no memory, sent or stalled',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('sparse.bin')),
        async ({ connection, connect, server }, folder) => {
          const length = 1024 * MEBIBYTE;
          folder.file('sparse.bin', '');
          truncateSync(folder.at('sparse.bin'), length);
          assert.equal((await connection.request({ method: 'HEAD' })).header('content-length'), `${length}`);
          const before = process.memoryUsage().rss;
          let peak = before;
          const slow = await connect({ streamReceiveWindow: 64 * 1024 });
          const stalled = await Promise.all(Array.from({ length: 100 }, () => slow.open()));
          // The whole of it would take the peer long: as much as shows that nothing is kept.
          const reading = await connect();
          const open = await reading.open();
          for (let read = 0; read < 128; read += 16) {
            const answer = await open.read(16 * MEBIBYTE);
            assert.ok(answer.length >= 16 * MEBIBYTE, `${answer.length}`);
            peak = Math.max(peak, process.memoryUsage().rss);
          }
          await reading.close();
          assert.ok(server.getStats().bodyBytesSent > 128 * MEBIBYTE);
          measuredMemory(peak - before, 'the file went out');
          const grown = Math.round((peak - before) / MEBIBYTE);
          assert.ok(grown < 64, `${grown} MiB more than before`);
          await slow.close();
          void stalled;
        },
      ),
  },
  {
    name: 'the last byte of a file beyond four gibibytes can be asked for',
    run: () =>
      withFiles(
        (folder) => fileResponse(folder.at('sparse.bin')),
        async ({ connection }, folder) => {
          const length = 5 * 1024 * MEBIBYTE;
          folder.file('sparse.bin', '');
          truncateSync(folder.at('sparse.bin'), length);
          const headers = [['range', 'bytes=-1']] as const;
          const answer = await connection.get('/', { headers });
          assert.equal(answer.header('content-range'), `bytes ${length - 1}-${length - 1}/${length}`);
          assert.deepEqual([...answer.bytes], [0]);
        },
      ),
  },
  {
    name: 'two hundred files at once, from one handler that waits and one that does not, are not mixed up',
    run: () =>
      withFiles(
        async (folder, { url }) => {
          const n = Number(new URL(url).pathname.slice(1));
          if (n % 2 === 0) await sleep(1);
          return fileResponse(folder.at(`${n}`));
        },
        async ({ connection }, folder) => {
          const numbers = Array.from({ length: 200 }, (_, n) => n);
          for (const n of numbers) folder.file(`${n}`, new Uint8Array(20_000).fill(n));
          const answers = await Promise.all(numbers.map((n) => connection.get(`/${n}`)));
          for (const [n, answer] of answers.entries()) {
            assert.equal(answer.length, 20_000);
            assert.ok(answer.bytes.every((byte) => byte === n));
          }
        },
      ),
  },
];
