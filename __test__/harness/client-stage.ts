import assert from 'node:assert/strict';
import { createH3Server, H3Client, type H3ServeOptions, type H3Server } from 'trilane';
import type { H3ClientOptions } from '../../lib/client/options.js';
import type { Spec } from '../specs/spec.js';
import { soon } from './deadline.js';
import { Log } from './stage.js';

/** What a spec of the client plays on: a server of this package, and a client that trusts it. */
export interface ClientStage {
  readonly server: H3Server;
  readonly client: H3Client;
  readonly log: Log;
  /** The URL of `path` on the server. */
  at(path: string): string;
}

/** The fallback of a server. */
export type Answering = NonNullable<H3ServeOptions['fetch']>;

/**
 * Runs `run` with a server whose fallback is `fetch` and a client, then takes both down and checks that nothing of them is
 * left: no open request on either side, no logged error that the spec did not take. Bodies reach the server as streams.
 */
export async function withClient(
  fetch: Answering,
  run: (stage: ClientStage) => Promise<void>,
  options: { readonly client?: H3ClientOptions; readonly server?: H3ServeOptions } = {},
): Promise<void> {
  const log = new Log();
  const server = createH3Server({
    hostname: '127.0.0.1',
    mode: 'streaming',
    logger: log,
    ...options.server,
    fetch,
  });
  const client = new H3Client({ serverCertificateHashes: [server.certificateHash], ...options.client });
  try {
    await run({ server, client, log, at: (path) => new URL(path, server.url).href });
    await soon('client.close()', client.close());
  } finally {
    client.destroy();
    await soon('server.stop(true)', server.stop(true));
    server.close();
  }
  assert.equal(client.getStats().requestsActive, 0);
  assert.equal(server.getStats().requestsActive, 0);
  assert.deepEqual(log.take(), [], 'the server logged what the spec did not expect');
}

/** `specs`, where there is a client to run them. */
export function clientSpecs(specs: Spec[]): Spec[] {
  return specs;
}
