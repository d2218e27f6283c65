// Connections: how many, how long, when another one is made; early data; nothing is left behind.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { createH3Server, H3Client } from 'trilane';
import { type Answering, clientSpecs, withClient } from '../harness/client-stage.js';
import { soon, until } from '../harness/deadline.js';
import { measuredMemory } from '../harness/measured.js';
import { IS_STRESS } from '../harness/pattern.js';
import { collectGarbage } from '../harness/runtime.js';

const ok: Answering = (request) => new Response(new URL(request.url).pathname);
const MANY = IS_STRESS ? 50_000 : 3_000;
const ORIGINS = IS_STRESS ? 100 : 30;

async function text(sent: Promise<{ text(): Promise<string> }>): Promise<string> {
  return (await sent).text();
}

/** File descriptors of this process; 0 where it cannot be known: there is no /proc, or Deno does not let us look. */
function descriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0;
  }
}

export const specs = clientSpecs([
  {
    name: 'a server that allows few streams gets more connections, up to maxConnectionsPerOrigin',
    run: () =>
      withClient(
        async (request) => {
          await sleep(30);
          return ok(request, undefined as never) as Response;
        },
        async ({ client, at }) => {
          const answers = Array.from({ length: 60 }, (_, n) => text(client.fetch(at(`/${n}`))));
          assert.deepEqual(
            await Promise.all(answers),
            Array.from({ length: 60 }, (_, n) => `/${n}`),
          );
          assert.equal(client.getStats().connectionsTotal, 3n);
        },
        { server: { limits: { maxConcurrentStreams: 5 } }, client: { maxConnectionsPerOrigin: 3 } },
      ),
  },
  {
    name: 'requests that a connection has room for get no other one',
    run: () =>
      withClient(
        ok,
        async ({ client, at }) => {
          await text(client.fetch(at('/first')));
          await Promise.all(Array.from({ length: 50 }, (_, n) => text(client.fetch(at(`/${n}`)))));
          assert.equal(client.getStats().connectionsTotal, 1n);
        },
        { client: { maxConnectionsPerOrigin: 8 } },
      ),
  },
  {
    name: 'a connection without requests is closed after idleTimeoutMs, and the next request makes another',
    run: () =>
      withClient(
        ok,
        async ({ client, at }) => {
          await text(client.fetch(at('/')));
          await until('no connection', () => client.getStats().connectionsActive === 0);
          assert.equal(await text(client.fetch(at('/again'))), '/again');
          assert.equal(client.getStats().connectionsTotal, 2n);
        },
        { client: { idleTimeoutMs: 200 } },
      ),
  },
  {
    name: 'a server that starts again and again loses no request that it may be sent twice',
    run: () =>
      withClient(ok, async ({ client, server, at }) => {
        for (let round = 0; round < 5; round++) {
          const answers = Array.from({ length: 20 }, (_, n) => text(client.fetch(at(`/${round}/${n}`))));
          assert.equal((await Promise.all(answers)).length, 20);
          const { port } = server;
          await soon('the stop', server.stop());
          server.start();
          if (server.port !== port) return;
        }
        assert.ok(client.getStats().connectionsTotal >= 5n);
      }),
  },
  {
    name: "early data: 'safe-methods' sends GET before the handshake ends, and POST behind it",
    run: () =>
      withClient(
        ok,
        async ({ client, server }) => {
          const url = `https://127.0.0.1:${server.port}`;
          await text(client.fetch(`${url}/visit`));
          await until('no connection', () => client.getStats().connectionsActive === 0);
          const [get, post] = await Promise.all([
            client.fetch(`${url}/get`),
            client.fetch(`${url}/post`, { method: 'POST', body: 'x' }),
          ]);
          assert.deepEqual([await get.text(), await post.text()], ['/get', '/post']);
          assert.deepEqual([get.connection.earlyData, post.connection.earlyData], [true, false]);
          assert.equal(get.connection.resumed, true);
        },
        {
          server: { earlyData: 'safe-methods' },
          client: {
            serverCertificateHashes: undefined,
            insecure: true,
            earlyData: 'safe-methods',
            idleTimeoutMs: 200,
          },
        },
      ),
  },
  {
    name: `${MANY} requests leave nothing behind`,
    ms: IS_STRESS ? 600_000 : 60_000,
    run: () =>
      withClient(ok, async ({ client, at }) => {
        const burst = async (count: number): Promise<void> => {
          for (let sent = 0; sent < count; sent += 100) {
            await Promise.all(Array.from({ length: 100 }, (_, n) => text(client.fetch(at(`/${n}`)))));
          }
        };
        const { signal } = new AbortController();
        await burst(MANY / 3);
        collectGarbage();
        const before = { descriptors: descriptors(), rss: process.memoryUsage.rss() };
        await burst(MANY);
        for (let n = 0; n < 100; n++) await text(client.fetch(at('/'), { signal }));
        collectGarbage();
        assert.ok(descriptors() <= before.descriptors, 'descriptors are left');
        const grown = process.memoryUsage.rss() - before.rss;
        measuredMemory(grown, 'requests came and went');
        assert.ok(grown < 64 << 20, `${grown} bytes more`);
        assert.equal(client.getStats().requestsActive, 0);
      }),
  },
  {
    name: `${ORIGINS} origins have a connection each, and all are closed`,
    ms: 60_000,
    async run() {
      const before = descriptors();
      const servers = Array.from({ length: ORIGINS }, () =>
        createH3Server({ hostname: '127.0.0.1', fetch: ok }),
      );
      const client = new H3Client({ insecure: true });
      try {
        const answers = servers.map(({ url }) => text(client.fetch(new URL('/here', url))));
        assert.deepEqual(new Set(await Promise.all(answers)), new Set(['/here']));
        assert.equal(client.getStats().connectionsActive, ORIGINS);
        await soon('client.close()', client.close());
      } finally {
        client.destroy();
        for (const server of servers) await server.stop(true);
        for (const server of servers) server.close();
      }
      await until('all sockets closed', () => descriptors() <= before + 4);
    },
  },
]);
