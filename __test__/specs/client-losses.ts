// A server that vanishes, or ends what it sends too early: each an error of its own, in time.

import assert from 'node:assert/strict';
import { H3Client } from 'trilane';
import { type ClientStage, clientSpecs, withClient } from '../harness/client-stage.js';
import { until } from '../harness/deadline.js';
import { networkError } from '../harness/failure.js';
import { LossyPath, type Misfortunes } from '../harness/lossy-path.js';
import type { Spec } from './spec.js';

type Path = { -readonly [Name in keyof Misfortunes]: Misfortunes[Name] };

function piecewise(then: (controller: ReadableStreamDefaultController<Uint8Array>) => void): Response {
  let pulls = 0;
  return new Response(
    new ReadableStream({
      async pull(controller) {
        pulls += 1;
        if (pulls === 1) controller.enqueue(new Uint8Array(1_000));
        else if (pulls === 2)
          await new Promise((resolve) => setTimeout(resolve, 50)).then(() => then(controller));
        else await new Promise(() => undefined);
      },
    }),
  );
}

/** A fact: what a program waits for when the path goes silent fails as a loss, after `idleTimeoutMs`. */
function vanishes(
  name: string,
  run: (client: H3Client, url: URL, vanish: () => void) => Promise<void>,
): Spec {
  return {
    name: `a server that vanishes ${name}`,
    run: () =>
      withClient(
        (request) =>
          request.url.endsWith('/head') ? new Promise<Response>(() => undefined) : piecewise(() => undefined),
        async ({ server }) => {
          const misfortunes: Path = { drop: 0, duplicate: 0, delay: 0, corrupt: 0 };
          const path = await LossyPath.open(server.port, misfortunes, 1);
          const client = new H3Client({
            serverCertificateHashes: [server.certificateHash],
            idleTimeoutMs: 400,
          });
          try {
            await run(client, path.url, () => {
              misfortunes.drop = 1;
            });
          } finally {
            client.destroy();
            path.close();
          }
          await server.stop(true);
        },
      ),
  };
}

async function whileUploading({ client, at }: ClientStage): Promise<void> {
  const cancelled: unknown[] = [];
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
    cancel: (reason) => void cancelled.push(reason),
  });
  const sent = client.fetch(at('/upload'), { method: 'POST', body, duplex: 'half' });
  await networkError(sent, 'ERR_H3_CONNECTION_CLOSED');
  await until('cancel() of the body', () => cancelled.length === 1);
}

export const specs = clientSpecs([
  vanishes('before the head of its response', async (client, url, vanish) => {
    const sent = client.fetch(new URL('/head', url));
    setTimeout(vanish, 150);
    const error = await networkError(sent, 'ERR_H3_CLIENT_CONNECTION_LOST');
    assert.match(error.message, /timed out/);
  }),
  vanishes('in the middle of a body', async (client, url, vanish) => {
    const response = await client.fetch(url);
    vanish();
    await networkError(response.text(), 'ERR_H3_CLIENT_CONNECTION_LOST', 'terminated');
  }),
  {
    name: 'a body that the server breaks off is never taken for a whole one',
    run: () =>
      withClient(
        () => piecewise((controller) => controller.error(new Error('broken'))),
        async ({ client, log, at }) => {
          const response = await client.fetch(at('/'));
          const error = await networkError(response.text(), 'ERR_H3_STREAM_RESET', 'terminated');
          assert.equal(error.remote, true);
          await until('the log', () => log.take().length > 0);
        },
      ),
  },
  {
    name: 'a server that stops at once in the middle of an upload',
    run: () =>
      withClient(
        () => new Promise<Response>(() => undefined),
        async (stage) => {
          setTimeout(() => void stage.server.stop(true), 200);
          await whileUploading(stage);
        },
      ),
  },
]);
