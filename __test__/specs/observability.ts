import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createH3Server,
  fileResponse,
  type H3RequestEnd,
  type H3ServeOptions,
  type RequestEndMessage,
} from 'trilane';
import { smallBuffersText } from '../../lib/udp-buffers.js';
import { Connection } from '../harness/connection.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { withFolder } from '../harness/folder.js';
import { type Family, parseMetrics } from '../harness/prometheus.js';
import { RawSession } from '../harness/raw-session.js';
import { Log, type Stage, withServer } from '../harness/stage.js';
import { twoPieces } from '../harness/two-pieces.js';
import type { Spec } from './spec.js';

const fail = (): never => {
  throw new Error('on purpose');
};

/** A server whose request ends are gathered. */
function logged(
  options: H3ServeOptions,
  run: (stage: Stage, entry: (count?: number) => Promise<H3RequestEnd>) => Promise<void>,
): Promise<void> {
  const entries: H3RequestEnd[] = [];
  const entry = async (count = 1): Promise<H3RequestEnd> => {
    await until(`entry ${count}`, () => entries.length >= count);
    assert.equal(entries.length, count);
    return entries[count - 1] as H3RequestEnd;
  };
  return withServer({ ...options, onRequestEnd: (one) => void entries.push(one) }, (stage) =>
    run(stage, entry),
  );
}

/** What is published on a channel while `run` runs. */
async function published<Message>(name: string, run: (messages: Message[]) => Promise<void>): Promise<void> {
  const messages: Message[] = [];
  const listener = (message: unknown): void => void messages.push(message as Message);
  subscribe(name, listener);
  try {
    await run(messages);
  } finally {
    unsubscribe(name, listener);
  }
}

function family(families: readonly Family[], name: string): Family {
  const found = families.find((one) => one.name === name);
  assert.ok(found, `${name} is not among ${families.map((one) => one.name).join(', ')}`);
  return found;
}

export const specs: Spec[] = [
  {
    name: 'onRequestEnd tells of a whole request all that an access log wants',
    run: () =>
      logged(
        {
          routes: [
            { method: 'POST', pattern: '/users/:id', fetch: () => new Response('hello', { status: 201 }) },
          ],
        },
        async ({ server, connection }, entry) => {
          await connection.request({ method: 'POST', path: '/users/7?full=1', bodySize: 3000 });
          const { durationMs, connectionIdHex, remoteAddress, ...rest } = await entry();
          assert.deepEqual(rest, {
            method: 'POST',
            url: `https://127.0.0.1:${server.port}/users/7?full=1`,
            path: '/users/7?full=1',
            route: '/users/:id',
            status: 201,
            bytesReceived: 3000,
            bytesSent: 5,
            protocol: 'HTTP/3',
            outcome: 'complete',
          });
          assert.ok(durationMs > 0 && durationMs < 10_000, `${durationMs} ms`);
          const [known] = server.connections();
          assert.equal(connectionIdHex, known?.connectionIdHex);
          assert.deepEqual(remoteAddress, known?.remoteAddress);
        },
      ),
  },
  {
    name: 'bodies that are streamed, and files, are counted, and the end is told after them',
    run: () =>
      withFolder((folder) => {
        const file = join(folder, 'file.bin');
        writeFileSync(file, new Uint8Array(300_000));
        const rest = deferred();
        return logged(
          {
            mode: 'streaming',
            routes: [
              { method: 'GET', pattern: '/file', fetch: () => fileResponse(file) },
              { method: 'GET', pattern: '/pieces', fetch: () => new Response(twoPieces(rest.promise, 500)) },
            ],
            fetch: async (request) => new Response(`${(await request.arrayBuffer()).byteLength}`),
          },
          async ({ connection }, entry) => {
            await connection.request({ method: 'PUT', bodySize: 2_000_000 });
            const upload = await entry();
            assert.deepEqual([upload.bytesReceived, upload.bytesSent, upload.route], [2_000_000, 7, null]);
            await connection.get('/file');
            const sent = await entry(2);
            assert.deepEqual([sent.status, sent.bytesSent, sent.outcome], [200, 300_000, 'complete']);
            const open = await connection.open({ path: '/pieces' });
            await open.read(1000);
            await entry(2);
            rest.resolve();
            await open.read();
            const streamed = await entry(3);
            assert.deepEqual([streamed.bytesSent, streamed.outcome], [1500, 'complete']);
          },
        );
      }),
  },
  {
    name: 'what the server refuses by itself is told too',
    run: () =>
      logged(
        { routes: [{ method: 'PUT', pattern: '/up', fetch: () => new Response() }], maxBodyBytes: 10 },
        async ({ connection }, entry) => {
          await connection.get('/nothing');
          const missing = await entry();
          assert.deepEqual(
            [missing.method, missing.path, missing.route, missing.status, missing.outcome],
            ['GET', '/nothing', null, 404, 'refused'],
          );
          await connection.get('/up');
          assert.deepEqual([(await entry(2)).status, (await entry(2)).outcome], [405, 'refused']);
          await connection.request({ method: 'PUT', path: '/up', bodySize: 11 });
          const large = await entry(3);
          assert.deepEqual([large.status, large.outcome, large.method], [413, 'refused', 'PUT']);
        },
      ),
  },
  {
    name: 'a client that gives up or vanishes, and a handler that breaks off, are told apart',
    run: () => {
      const entered = deferred();
      const never = new Promise<Response>(() => undefined);
      return logged(
        {
          routes: [
            {
              method: 'GET',
              pattern: '/waits',
              fetch: () => {
                entered.resolve();
                return never;
              },
            },
            {
              method: 'GET',
              pattern: '/breaks',
              fetch: () => new Response(twoPieces(sleep(50).then(fail))),
            },
            { method: 'GET', pattern: '/streams', fetch: () => new Response(twoPieces(never)) },
          ],
        },
        async ({ connection, connect, log }, entry) => {
          const open = await connection.open({ path: '/waits', read: 'none' });
          await soon('the handler', entered.promise);
          await open.cancel();
          const given = await entry();
          assert.deepEqual([given.outcome, given.status, given.bytesSent], ['aborted', null, 0]);
          await connection.get('/breaks').catch(() => undefined);
          const broken = await entry(2);
          assert.deepEqual([broken.outcome, broken.status], ['reset', 200]);
          assert.equal(log.take().length, 1);
          const second = await connect({ idleTimeoutMs: 500 });
          await (await second.open({ path: '/streams' })).read(1000);
          await second.close();
          const gone = await entry(3);
          assert.deepEqual([gone.outcome, gone.status, gone.bytesSent], ['aborted', 200, 1000]);
        },
      );
    },
  },
  {
    name: 'a session is told when it is over',
    run: () =>
      logged(
        { routes: [{ method: 'CONNECT', pattern: '/room', webtransport: () => undefined }] },
        async ({ server }, entry) => {
          const client = await RawSession.ask(server.url, '/room');
          await client.connect.read(1);
          await client.close(0, '');
          const { method, route, status, outcome } = await entry();
          assert.deepEqual([method, route, status, outcome], ['CONNECT', '/room', 200, 'complete']);
          await client.connection.close();
        },
      ),
  },
  {
    name: 'what onRequestEnd throws or rejects goes to the logger, and nothing else suffers',
    run: () =>
      withServer(
        {
          fetch: () => new Response('hello'),
          onRequestEnd: (entry) => (entry.path === '/rejects' ? Promise.reject(new Error('later')) : fail()),
        },
        async ({ server, connection, log }) => {
          for (const path of ['/throws', '/rejects', '/throws'])
            assert.equal((await connection.get(path)).text, 'hello');
          await until('the logger to hear', () => log.size === 3);
          for (const [text] of log.take()) assert.equal(text, 'trilane: onRequestEnd failed:');
          assert.equal(server.getStats().handlerErrors, 3n);
        },
      ),
  },
  {
    name: 'metrics() is text that a parser of Prometheus reads, every family with HELP and TYPE',
    run: () =>
      withServer({ fetch: () => new Response('hello') }, async ({ server, connection }) => {
        await connection.request({ method: 'POST', bodySize: 100 });
        const text = server.metrics();
        const families = parseMetrics(text);
        for (const { name, help, type } of families) {
          assert.match(help, /\.$/, name);
          assert.equal(name.endsWith('_total'), type === 'COUNTER', `${name} is a ${type}`);
          assert.match(name, /^(http|quic|webtransport)_server_[a-z_]+$/);
        }
        assert.equal(families.length, text.match(/^# TYPE /gm)?.length);
        const value = (name: string): number => Number(family(families, name).metrics[0]?.value);
        assert.equal(value('http_server_requests_total'), 1);
        assert.equal(value('http_server_request_body_bytes_total'), 100);
        assert.equal(value('http_server_response_body_bytes_total'), 5);
        assert.equal(value('quic_server_active_connections'), 1);
        assert.ok(value('http_server_uptime_seconds') > 0);
        const dropped = family(families, 'quic_server_datagrams_dropped_total').metrics;
        assert.equal(dropped.length, 6);
        assert.ok(!text.includes('duration'), 'durations are counted only with option metrics');
      }),
  },
  {
    name: 'with option metrics, a histogram tells how long requests took, by route, method and class of status',
    run: () =>
      withServer(
        {
          metrics: true,
          routes: [
            { method: '*', pattern: '/users/:id', fetch: () => new Response('hello') },
            { method: 'GET', pattern: '/fails', fetch: () => new Response(null, { status: 503 }) },
          ],
        },
        async ({ server, connection }) => {
          for (let id = 0; id < 20; id++) await connection.get(`/users/${id}`);
          for (const method of ['MADE', 'UP']) await connection.request({ method, path: '/users/1' });
          await connection.get('/fails');
          await connection.get('/nothing');
          await until('all to be over', () => server.getStats().requestsActive === 0);
          const text = server.metrics();
          assert.match(text, /^# TYPE http_server_request_duration_seconds histogram$/m);
          // The parser reads a histogram as one series, whatever its labels: so its parts are read one by one.
          const families = parseMetrics(text.replace(/^# .* histogram$/m, ''));
          const part = (name: string): Family['metrics'] =>
            families
              .filter((one) => one.name === `http_server_request_duration_seconds_${name}`)
              .flatMap(({ metrics }) => metrics);
          assert.deepEqual(
            part('count').map(({ labels, value }) => [...Object.values(labels ?? {}), value]),
            [
              ['', 'GET', '4xx', '1'],
              ['/fails', 'GET', '5xx', '1'],
              ['/users/:id', 'GET', '2xx', '20'],
              ['/users/:id', '_OTHER', '2xx', '2'],
            ],
          );
          const users = part('bucket').slice(2 * 17, 3 * 17);
          assert.equal(users[16]?.labels?.['le'], '+Inf');
          const counts = users.map(({ value }) => Number(value));
          assert.deepEqual(
            counts,
            [...counts].sort((a, b) => a - b),
          );
          assert.equal(counts[16], 20);
          assert.ok(Number(part('sum')[2]?.value) > 0);
        },
      ),
  },
  {
    name: 'a pattern with quotes and backslashes is one label value',
    run: () => {
      const pattern = '/a"b\\c';
      return withServer(
        { metrics: true, routes: [{ method: 'GET', pattern, fetch: () => new Response() }] },
        async ({ server, connection }) => {
          await connection.get('/a%22b%5Cc');
          assert.match(server.metrics(), /http_route="(\/a\\"b\\\\c)?"/);
        },
      );
    },
  },
  {
    name: 'the channels of requests hear start, error and end, once each, also of a file and a client that leaves',
    run: () =>
      withFolder(async (folder) => {
        const file = join(folder, 'file.bin');
        writeFileSync(file, new Uint8Array(100_000));
        const starts: string[] = [];
        await published<{ route: string | null; request: Request }>(
          'trilane:server:request:start',
          async (started) => {
            await published<{ error: Error }>('trilane:server:request:error', async (failed) => {
              await published<RequestEndMessage>('trilane:server:request:end', async (ended) => {
                const entered = deferred();
                const options: H3ServeOptions = {
                  routes: [
                    { method: 'GET', pattern: '/ok/:n', fetch: () => new Response('hello') },
                    { method: 'GET', pattern: '/fails', fetch: fail },
                    { method: 'GET', pattern: '/file', fetch: () => fileResponse(file) },
                    { method: 'GET', pattern: '/no-file', fetch: () => fileResponse(join(folder, 'none')) },
                    {
                      method: 'GET',
                      pattern: '/waits',
                      fetch: () => {
                        entered.resolve();
                        return new Promise<Response>(() => undefined);
                      },
                    },
                  ],
                };
                await withServer(options, async ({ server, connection, log }) => {
                  for (const path of ['/ok/1', '/fails', '/file', '/no-file']) await connection.get(path);
                  await until('four ends', () => ended.length === 4);
                  const open = await connection.open({ path: '/waits', read: 'none' });
                  await soon('the handler', entered.promise);
                  await open.cancel();
                  await until('the fifth end', () => ended.length === 5);
                  starts.push(...started.map(({ route }) => route ?? ''));
                  assert.deepEqual(starts, ['/ok/:n', '/fails', '/file', '/no-file', '/waits']);
                  assert.deepEqual(
                    ended.map(({ route, status, aborted }) => [route, status, aborted]),
                    [
                      ['/ok/:n', 200, false],
                      ['/fails', 500, false],
                      ['/file', 200, false],
                      ['/no-file', 500, false],
                      ['/waits', null, true],
                    ],
                  );
                  assert.deepEqual(
                    failed.map(({ error }) => error.message.slice(0, 10)),
                    ['on purpose', failed[1]?.error.message.slice(0, 10)],
                  );
                  for (const [index, { request, server: whose }] of ended.entries()) {
                    assert.equal(request, started[index]?.request);
                    assert.equal(whose, server);
                  }
                  log.take();
                });
              });
            });
          },
        );
      }),
  },
  {
    name: 'nobody subscribed: nothing is remembered; who subscribes later hears of requests that begin later',
    run: () =>
      withServer({ fetch: () => new Response('hello') }, async ({ connection }) => {
        await connection.get();
        await published('trilane:server:request:end', async (ended) => {
          await connection.get();
          await until('one end', () => ended.length === 1);
        });
        await connection.get();
      }),
  },
  {
    name: 'the channels of connections hear open and close, if they had subscribers when the server was made',
    run: () =>
      published<{ connection: { connectionIdHex: string } }>('trilane:connection:open', (opened) =>
        published<{ cause: object; connection: { connectionIdHex: string } }>(
          'trilane:connection:close',
          async (closed) => {
            await withServer(
              { fetch: () => new Response('hello') },
              async ({ server, connection, connect }) => {
                await until('one open', () => opened.length === 1);
                assert.equal(opened[0]?.connection.connectionIdHex, server.connections()[0]?.connectionIdHex);
                const second = await connect();
                await until('two open', () => opened.length === 2);
                await second.close();
                await until('one closed', () => closed.length === 1);
                assert.deepEqual(closed[0]?.cause, { remote: true, code: 0x100 });
                assert.equal((await connection.get()).text, 'hello');
              },
            );
          },
        ),
      ),
  },
  {
    name: 'the warning about small UDP buffers has the figures and the remedy of the platform',
    run() {
      const small = { asked: 4_194_304, receive: 212_992, send: 106_496 };
      const linux = smallBuffersText(small, 'linux');
      assert.match(linux, /208 KiB to receive and 104 KiB to send, of 4096 KiB asked for/);
      assert.match(linux, /sysctl -w net\.core\.rmem_max=4194304 net\.core\.wmem_max=4194304/);
      assert.match(linux, /Docker and Kubernetes.*host/);
      assert.match(linux, /"udpBufferWarning": false/);
      assert.match(smallBuffersText(small, 'darwin'), /kern\.ipc\.maxsockbuf=8388608/);
      assert.match(smallBuffersText(small, 'win32'), /settings of the system/);
    },
  },
  {
    name: 'options of this file refuse what they cannot be',
    run() {
      const refused: [options: unknown, message: RegExp][] = [
        [{ onRequestEnd: 'log' }, /option "onRequestEnd" is .*expected a function/],
        [{ metrics: 1 }, /option "metrics" is .*expected true or false/],
        [{ udpBufferWarning: 'no' }, /option "udpBufferWarning" is .*expected true or false/],
      ];
      for (const [options, message] of refused) {
        assert.throws(() => createH3Server(options as H3ServeOptions), { name: 'TypeError', message });
      }
    },
  },
  {
    name: 'an access log under load has a line for every request, in any order, and loses none',
    async run() {
      const seen = new Map<string, number>();
      const log = new Log();
      const server = createH3Server({
        hostname: '127.0.0.1',
        logger: log,
        udpBufferWarning: false,
        routes: [{ method: 'GET', pattern: '/known/:n', fetch: () => new Response('hello') }],
        onRequestEnd: ({ path }) => void seen.set(path, (seen.get(path) ?? 0) + 1),
      });
      const connection = await Connection.open(server.url);
      const paths = Array.from({ length: 2000 }, (_, n) => `/${n % 2 === 0 ? 'known' : 'unknown'}/${n}`);
      for (let at = 0; at < paths.length; at += 100) {
        await Promise.all(paths.slice(at, at + 100).map((path) => connection.get(path)));
      }
      await until('all entries', () => seen.size === paths.length);
      assert.ok([...seen.values()].every((count) => count === 1));
      await connection.close();
      await soon('stop', server.stop());
      server.close();
      assert.deepEqual(log.take(), []);
    },
  },
];
