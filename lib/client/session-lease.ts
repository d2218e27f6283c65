import { H3Client, hostOf } from './client.js';
import type { FetchHost } from './fetch.js';
import type { H3ClientOptions } from './options.js';
import type { ReadOptions } from './web-transport-options.js';

/** How long a session that was closed may take to tell its server, in milliseconds. */
const LAST_WORDS_MS = 2_000;

/** The client that carries one session. The process is kept alive until it is given back. */
export interface SessionLease {
  readonly host: FetchHost;
  /** The session is over. */
  giveBack(): void;
}

/** The client of sessions that allow pooling and name none, and how many use it. */
let pooled: { readonly client: H3Client; sessions: number } | null = null;

/** A client for a session: the one that the program gives, the one that sessions share, or one of its own. */
export function leaseClient({ allowPooling, client, hashes }: ReadOptions): SessionLease {
  if (client instanceof H3Client) return lease(client, () => undefined);
  if (allowPooling && client === undefined) return leasePooled();
  const options: H3ClientOptions = {
    ...client,
    // None that can be met: the session fails by itself.
    ...(hashes !== null && hashes.length > 0 && { serverCertificateHashes: hashes }),
  };
  const own = new H3Client(options);
  return lease(own, () => void lastWords(own));
}

function leasePooled(): SessionLease {
  pooled ??= { client: new H3Client(), sessions: 0 };
  const shared = pooled;
  shared.sessions += 1;
  return lease(shared.client, () => {
    shared.sessions -= 1;
    if (shared.sessions > 0) return;
    if (pooled === shared) pooled = null;
    void lastWords(shared.client);
  });
}

function lease(client: H3Client, giveBack: () => void): SessionLease {
  const host = hostOf(client);
  host.liveness.enter();
  return {
    host,
    giveBack() {
      giveBack();
      host.liveness.leave();
    },
  };
}

/** Closes `client` when what was said is acknowledged; a server that is gone is not waited for. */
async function lastWords(client: H3Client): Promise<void> {
  const timer = setTimeout(() => client.destroy(), LAST_WORDS_MS);
  await client.close();
  clearTimeout(timer);
}
