import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { type H3Request, isH3Error, type ServeStaticOptions, serveStatic } from 'trilane';
import { Connection } from '../harness/connection.js';
import { rawGet } from '../harness/raw-request.js';
import { type Folder, withFolder } from '../harness/scratch.js';
import { type Stage, withServer } from '../harness/stage.js';
import { DATA, payloads } from '../harness/wire.js';
import type { Spec } from './spec.js';

/** Runs `run` with `root/` of a folder served beneath `/files/`, and all else answered "fallback". */
function withStatic(
  options: ServeStaticOptions,
  fill: (folder: Folder) => void,
  run: (stage: Stage, folder: Folder) => Promise<void>,
): Promise<void> {
  return withFolder((folder) => {
    folder.file('secret.txt', 'secret');
    folder.file('root/a.txt', 'text');
    fill(folder);
    const files = serveStatic(folder.at('root'), options);
    const routes = [{ method: '*', pattern: '/files/*', fetch: files }] as const;
    return withServer({ routes, fetch: () => new Response('fallback') }, (stage) => run(stage, folder));
  });
}

/** The body of the answer to a path that is sent as it is written; `""` if the stream was reset. */
async function rawText({ server }: Stage, path: string): Promise<string> {
  const connection = await Connection.openRaw(server.url);
  const stream = await rawGet(connection, server.url, path);
  const { bytes, timedOut } = await stream.read();
  assert.equal(timedOut, false, path);
  await connection.close();
  return payloads(bytes, DATA).toString();
}

function coded(code: string): (error: unknown) => boolean {
  return (error) => error instanceof TypeError && (error as { code?: unknown }).code === code;
}

const nothing = (): void => undefined;

/** Windows lets only some users make links. */
const HAS_LINKS = process.platform !== 'win32';

export const specs: Spec[] = [
  {
    name: 'files of a folder are served beneath the route, with what fileResponse gives them',
    run: () =>
      withStatic(
        {},
        (folder) => {
          folder.file('root/sub/b c.css', 'a{}');
          folder.file('root/ü/日.json', '[]');
        },
        async ({ connection }) => {
          const answer = await connection.get('/files/a.txt?query=1');
          assert.equal(answer.text, 'text');
          assert.equal(answer.header('content-type'), 'text/plain;charset=utf-8');
          assert.ok(answer.header('etag') !== null);
          assert.equal((await connection.get('/files/sub/b%20c.css')).text, 'a{}');
          assert.equal((await connection.get('/files/%C3%BC/%E6%97%A5.json')).text, '[]');
          const head = await connection.request({ method: 'HEAD', path: '/files/a.txt' });
          assert.deepEqual([head.status, head.header('content-length'), head.length], [200, '4', 0]);
          const part = await connection.get('/files/a.txt', { headers: [['range', 'bytes=0-1']] });
          assert.deepEqual([part.status, part.text], [206, 'te']);
        },
      ),
  },
  {
    name: 'what is not there is a 404; other methods are a 405 with Allow',
    run: () =>
      withStatic(
        {},
        (folder) => folder.file('root/empty/deep/c.txt', ''),
        async ({ connection }) => {
          for (const path of [
            '/files/b.txt',
            '/files/a.txt/',
            '/files/a.txt/b',
            '/files/',
            '/files/empty/',
          ]) {
            const answer = await connection.get(path);
            assert.deepEqual([answer.status, answer.text], [404, 'Not Found'], path);
          }
          for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
            const answer = await connection.request({ method, path: '/files/a.txt' });
            assert.deepEqual([answer.status, answer.header('allow')], [405, 'GET, HEAD'], method);
          }
        },
      ),
  },
  {
    name: 'notFound answers what is not there',
    run: () =>
      withStatic(
        { notFound: ({ url }) => new Response(`no ${new URL(url).pathname}`, { status: 404 }) },
        nothing,
        async ({ connection }) => {
          assert.equal((await connection.get('/files/x/y')).text, 'no /files/x/y');
          assert.equal((await connection.get('/files/a.txt')).text, 'text');
        },
      ),
  },
  {
    name: 'a folder is answered with its index, or sent to its name with a slash',
    run: () =>
      withStatic(
        { index: ['index.htm', 'index.html'] },
        (folder) => {
          folder.file('root/index.html', 'root');
          folder.file('root/sub/index.html', 'second');
          folder.file('root/sub/index.htm', 'first');
        },
        async ({ connection }) => {
          assert.equal((await connection.get('/files/')).text, 'root');
          assert.equal((await connection.get('/files/sub/')).text, 'first');
          const answer = await connection.get('/files/sub?a=b');
          assert.deepEqual([answer.status, answer.header('location')], [308, './sub/?a=b']);
        },
      ),
  },
  {
    name: 'no path leads out of the folder, however it is written',
    run: () =>
      withStatic(
        { dotfiles: 'serve' },
        (folder) => folder.file('root/sub/b.txt', ''),
        async (stage) => {
          for (const path of [
            '/files/../secret.txt',
            '/files/sub/../../secret.txt',
            '/files/%2e%2e/secret.txt',
            '/files/.%2E/secret.txt',
            '/files/..%2fsecret.txt',
            '/files/%2e%2e%2fsecret.txt',
            '/files/..%5csecret.txt',
            '/files/..\\secret.txt',
            '/files/%252e%252e/secret.txt',
            '/files/%c0%ae%c0%ae/secret.txt',
            '/files/sub%2f..%2f..%2fsecret.txt',
            '/files//etc/passwd',
            '/files/%2fetc%2fpasswd',
            '/files/a.txt%00',
            '/files/a.txt%00.html',
            '/files/%00',
            '/files/%',
            '/files/%zz',
            '/files/sub%2fb.txt',
            '/files/sub%5cb.txt',
            '/files/sub//b.txt',
            '/files/./a.txt',
            '/files//a.txt',
            '/files/sub/../a.txt',
          ]) {
            const text = await rawText(stage, path);
            assert.ok(['Not Found', 'Bad Request', ''].includes(text), `${path}: ${text}`);
          }
          assert.equal(await rawText(stage, '/files/a.txt'), 'text');
        },
      ),
  },
  {
    name: 'a path that another route guards is not reached by another spelling',
    run: () =>
      withFolder(async (folder) => {
        folder.file('private/a.txt', 'guarded');
        const files = serveStatic(folder.path);
        const guard = (): Response => new Response('no', { status: 403 });
        const routes = [
          { method: 'GET', pattern: '/*', fetch: files },
          { method: 'GET', pattern: '/private/*', fetch: guard },
        ] as const;
        await withServer({ routes }, async (stage) => {
          for (const path of [
            '/private/a.txt',
            '/%70rivate/a.txt',
            '/private%2fa.txt',
            '//private/a.txt',
            '/./private/a.txt',
            '/x/../private/a.txt',
            '/private%5ca.txt',
            '/%2e/private/a.txt',
          ]) {
            const text = await rawText(stage, path);
            assert.ok(['no', 'Not Found', 'Bad Request', ''].includes(text), `${path}: ${text}`);
          }
          assert.equal(await rawText(stage, '/private/a.txt'), 'no');
        });
      }),
  },
  {
    name: 'names that begin with a dot are hidden, or served if asked for',
    async run() {
      const fill = (folder: Folder): void => {
        folder.file('root/.env', 'key');
        folder.file('root/.git/config', 'git');
      };
      await withStatic({}, fill, async ({ connection }) => {
        assert.equal((await connection.get('/files/.env')).status, 404);
        assert.equal((await connection.get('/files/%2Egit/config')).status, 404);
      });
      await withStatic({ dotfiles: 'serve' }, fill, async ({ connection }) => {
        assert.equal((await connection.get('/files/.env')).text, 'key');
        assert.equal((await connection.get('/files/.git/config')).text, 'git');
      });
    },
  },
  {
    name: 'links that lead out are not followed, unless they may lead anywhere',
    async run() {
      if (!HAS_LINKS) return;
      const fill = (folder: Folder): void => {
        symlinkSync('a.txt', folder.at('root/inside.txt'));
        symlinkSync('../secret.txt', folder.at('root/outside.txt'));
        symlinkSync(folder.at('secret.txt'), folder.at('root/absolute.txt'));
        symlinkSync('..', folder.at('root/up'));
      };
      const texts = async ({ connection }: Stage): Promise<string[]> => {
        const names = ['inside.txt', 'outside.txt', 'absolute.txt', 'up/secret.txt'];
        const answers = await Promise.all(names.map((name) => connection.get(`/files/${name}`)));
        return answers.map((answer) => answer.text);
      };
      const no = 'Not Found';
      await withStatic({}, fill, async (stage) => {
        assert.deepEqual(await texts(stage), ['text', no, no, no]);
      });
      await withStatic({ symlinks: 'anywhere' }, fill, async (stage) => {
        assert.deepEqual(await texts(stage), ['text', 'secret', 'secret', 'secret']);
      });
    },
  },
  {
    name: 'headers are given to files, and may depend on their path',
    run: () =>
      withStatic(
        { headers: (path) => ({ 'cache-control': 'max-age=9', 'x-path': path }) },
        (folder) => folder.file('root/sub/b.txt', ''),
        async ({ connection }) => {
          const answer = await connection.get('/files/sub/b.txt');
          assert.deepEqual(
            [answer.header('cache-control'), answer.header('x-path')],
            ['max-age=9', 'sub/b.txt'],
          );
          assert.equal((await connection.get('/files/x')).header('cache-control'), null);
        },
      ),
  },
  {
    name: 'in the fallback a prefix says where the folder begins; without one it is the whole path',
    run: () =>
      withFolder(async (folder) => {
        folder.file('a.txt', 'text');
        folder.file('index.html', 'index');
        for (const [prefix, base] of [
          ['/assets', '/assets'],
          ['/assets/', '/assets'],
          [undefined, ''],
        ] as const) {
          const options = { notFound: () => new Response('none', { status: 404 }), prefix };
          const root = pathToFileURL(folder.path);
          await withServer({ fetch: serveStatic(root, options) }, async ({ connection }) => {
            assert.equal((await connection.get(`${base}/a.txt`)).text, 'text');
            assert.equal((await connection.get(`${base}/`)).text, 'index');
            if (prefix === undefined) return;
            assert.equal((await connection.get('/a.txt')).text, 'none');
            assert.equal((await connection.get('/assetsa.txt')).text, 'none');
            const answer = await connection.get(base);
            assert.deepEqual([answer.status, answer.header('location')], [308, './assets/']);
          });
        }
      }),
  },
  {
    name: 'a Response of serveStatic can be read and changed by what stands around it',
    run: () =>
      withFolder(async (folder) => {
        folder.file('a.txt', 'text');
        const files = serveStatic(folder.path);
        const fetch = async (request: H3Request, server: Parameters<typeof files>[1]): Promise<Response> => {
          const response = await files(request, server);
          if (response.status === 404) return new Response('own 404', { status: 404 });
          response.headers.set('x-around', 'yes');
          return request.url.endsWith('?read') ? new Response(await response.text()) : response;
        };
        await withServer({ fetch }, async ({ connection }) => {
          assert.equal((await connection.get('/a.txt')).header('x-around'), 'yes');
          assert.equal((await connection.get('/a.txt?read')).text, 'text');
          assert.equal((await connection.get('/b.txt')).text, 'own 404');
        });
      }),
  },
  {
    name: 'a folder that is gone goes to the error handler, and is served again when it is back',
    run: () =>
      withFolder(async (outer) => {
        const { renameSync } = await import('node:fs');
        outer.file('root/a.txt', 'text');
        const errors: unknown[] = [];
        const error = (thrown: unknown): Response => {
          errors.push(thrown);
          return new Response('', { status: 503 });
        };
        await withServer({ fetch: serveStatic(outer.at('root')), error }, async ({ connection }) => {
          renameSync(outer.at('root'), outer.at('moved'));
          assert.equal((await connection.get('/a.txt')).status, 503);
          assert.ok(isH3Error(errors[0]) && errors[0].code === 'ERR_H3_FILE_NOT_FOUND');
          outer.file('root/a.txt', 'new');
          assert.equal((await connection.get('/a.txt')).text, 'new');
        });
      }),
  },
  {
    name: 'a folder and options that cannot be used throw at once',
    run: () =>
      withFolder(async (folder) => {
        const call = serveStatic as (...parameters: unknown[]) => unknown;
        for (const root of [undefined, '', 5]) assert.throws(() => call(root), coded('ERR_H3_OPTION_TYPE'));
        for (const root of [folder.at('nothing'), folder.file('a.txt', '')]) {
          assert.throws(() => call(root), coded('ERR_H3_OPTION_FILE'));
        }
        assert.throws(() => call(folder.path, { indexes: [] }), coded('ERR_H3_OPTION_UNKNOWN'));
        for (const bad of [
          { prefix: 'assets' },
          { prefix: '' },
          { index: 'a/b' },
          { index: [1] },
          { dotfiles: true },
          { symlinks: 'outside' },
          { notFound: 404 },
        ]) {
          assert.throws(() => call(folder.path, bad), coded('ERR_H3_OPTION_TYPE'), JSON.stringify(bad));
        }
        assert.throws(() => call(folder.path, { headers: 5 }), coded('ERR_H3_HEADER'));
      }),
  },
];
