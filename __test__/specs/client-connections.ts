// What options of a client do to its connections, and the client that all calls of h3fetch share.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { isH3Error } from 'trilane';
import { Child } from '../harness/child.js';
import { type Answering, clientSpecs, withClient } from '../harness/client-stage.js';
import { until } from '../harness/deadline.js';
import { withFolder } from '../harness/folder.js';
import { withPairFiles } from '../harness/pair.js';

const PROGRAM = 'client-scenario.js';
const ok: Answering = () => new Response('ok');

/** What a process prints that calls h3fetch twice, for a server whose certificate the system trusts or not. */
async function printed(url: string, env: Readonly<Record<string, string>>): Promise<string> {
  const child = new Child('fetchesTwice', { SERVER: url, ...env }, PROGRAM);
  const { code, output, complaints } = await child.exit(15_000);
  assert.equal(code, 0, complaints);
  return output.trim();
}

export const specs = clientSpecs([
  {
    name: 'h3fetch trusts whom the system trusts, on one connection for all calls, and lets its process end',
    run: () =>
      withPairFiles((cert, key) =>
        withClient(
          ok,
          async ({ server }) => {
            const url = `https://localhost:${server.port}/`;
            assert.equal(await printed(url, { SSL_CERT_FILE: cert }), '200 ok, 200 ok');
            assert.equal(server.getStats().connectionsTotal, 1n);
            assert.equal(await printed(url, {}), 'TypeError ERR_H3_CLIENT_CERTIFICATE_ISSUER');
          },
          { server: { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') } },
        ),
      ),
  },
  {
    name: 'localAddress is where requests come from',
    run: () => {
      // Only Linux has all of 127.0.0.0/8.
      const localAddress = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1';
      return withClient(
        (request, server) => new Response(server.requestIP(request)?.address),
        async ({ client, at }) => {
          assert.equal(await (await client.fetch(at('/'))).text(), localAddress);
        },
        { client: { localAddress } },
      );
    },
  },
  {
    name: 'a localAddress that cannot reach the server is named in the error',
    run: () =>
      withClient(
        ok,
        async ({ client, at }) => {
          const error: unknown = await client.fetch(at('/')).catch((reason: unknown) => reason);
          assert.ok(error instanceof TypeError && isH3Error(error.cause), String(error));
          assert.match(error.cause.message, /::1/);
        },
        { client: { localAddress: '::1' } },
      ),
  },
  {
    name: 'keepAliveMs keeps the connection of a response that waits beyond the idle time of the server',
    async run() {
      const idleMs = 600;
      const slowly: Answering = async (request) => {
        if (request.url.endsWith('/slow')) await sleep(3 * idleMs);
        return new Response('ok');
      };
      const options = { server: { limits: { idleTimeoutMs: idleMs } } };
      await withClient(
        slowly,
        async ({ client, at }) => {
          assert.equal(await (await client.fetch(at('/slow'))).text(), 'ok');
          assert.equal(client.getStats().connectionsTotal, 1n);
        },
        { ...options, client: { keepAliveMs: 100 } },
      );
      await withClient(
        slowly,
        async ({ client, at }) => {
          const error: unknown = await client.fetch(at('/slow')).catch((reason: unknown) => reason);
          assert.ok(
            error instanceof TypeError && isH3Error(error.cause),
            `${String(error)} without keepAliveMs`,
          );
        },
        options,
      );
    },
  },
  {
    name: 'qlogDir gets a file for each connection of a client, keyLog the secrets that its server has too',
    run: () =>
      withFolder(async (folder) => {
        const [ours, theirs] = [join(folder, 'client.keys'), join(folder, 'server.keys')];
        await withClient(
          ok,
          async ({ client, at }) => {
            assert.equal(await (await client.fetch(at('/'))).text(), 'ok');
          },
          { client: { qlogDir: folder, keyLog: ours }, server: { keyLog: theirs } },
        );
        const logs = (): string[] => readdirSync(folder).filter((name) => name.endsWith('_client.sqlog'));
        await until('packets in the file', () =>
          logs().some((name) => readFileSync(join(folder, name), 'utf8').includes('packet_sent')),
        );
        assert.equal(logs().length, 1);
        const secrets = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n').sort();
        assert.match(secrets(ours)[0] ?? '', /^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]{64,96}$/);
        assert.deepEqual(secrets(ours), secrets(theirs));
      }),
  },
]);
