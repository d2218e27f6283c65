import assert from 'node:assert/strict';
import {
  createH3Server,
  type H3ServeOptions,
  type H3Server,
  WebTransport,
  type WebTransportOptions,
  type WTContext,
} from 'trilane';
import type { Spec } from '../specs/spec.js';
import { type Deferred, deferred, soon, until } from './deadline.js';
import { Log } from './stage.js';

/** What a spec of the client's sessions plays on: a server of this package, and sessions that trust it. */
export interface SessionStage {
  readonly server: H3Server;
  readonly log: Log;
  /** The URL of `path` on the server. */
  at(path: string): string;
  /** Asks for a session; it is closed at the end. */
  ask(path?: string, options?: WebTransportOptions): WebTransport;
  /** A session that is open, as both sides have it. */
  open(path?: string, options?: WebTransportOptions): Promise<BothSides>;
}

/** One session, as its client and its server have it. */
export interface BothSides {
  readonly client: WebTransport;
  readonly server: WTContext;
}

/** What a server does with sessions that ask for `/`; default: it accepts them and waits. */
export interface SessionStageOptions extends H3ServeOptions {
  readonly accept?: (session: WTContext) => void | Promise<void>;
}

/** Runs `run` with a server of sessions, then takes everything down and checks that nothing is left of it. */
export async function withSessions(
  run: (stage: SessionStage) => Promise<void>,
  { accept, ...options }: SessionStageOptions = {},
): Promise<void> {
  const log = new Log();
  const asked: Deferred<WTContext>[] = [];
  const came: WTContext[] = [];
  const server = createH3Server({
    hostname: '127.0.0.1',
    logger: log,
    fetch: () => new Response('http', { headers: { 'content-type': 'text/plain' } }),
    ...options,
    routes: [
      {
        method: 'CONNECT',
        pattern: '/',
        async webtransport(session) {
          await accept?.(session);
          const waiting = asked.shift();
          if (waiting === undefined) came.push(session);
          else waiting.resolve(session);
        },
      },
      { method: 'CONNECT', pattern: '/refused', webtransport: (session) => session.reject(403) },
      ...((options.routes ?? []) as []),
    ],
  });
  const sessions: WebTransport[] = [];
  const at = (path: string): string => new URL(path, server.url).href;
  const ask = (path = '/', how: WebTransportOptions = {}): WebTransport => {
    const session = new WebTransport(at(path), { ...trusting(server, how), ...how });
    sessions.push(session);
    return session;
  };
  const open = async (path = '/', how: WebTransportOptions = {}): Promise<BothSides> => {
    const client = ask(path, how);
    await soon('a session', client.ready);
    let theirs = came.shift();
    if (theirs === undefined) {
      const waiting = deferred<WTContext>();
      asked.push(waiting);
      theirs = await soon('the session of the server', waiting.promise);
    }
    return { client, server: theirs };
  };
  try {
    await run({ server, log, at, ask, open });
  } catch (error) {
    // Nothing that follows from it may be told in its place.
    server.close();
    throw error;
  } finally {
    for (const session of sessions) session.close();
    await until('the end of all sessions', () => server.getStats().requestsActive === 0);
    await soon('server.stop(true)', server.stop(true));
    server.close();
  }
  assert.deepEqual(log.take(), [], 'the server logged what the spec did not expect');
}

/** A spec on such a stage. */
export function onSessions(
  name: string,
  run: (stage: SessionStage) => Promise<void>,
  options: SessionStageOptions = {},
): Spec {
  return { name, run: () => withSessions(run, options) };
}

/** What makes a client trust `server`, unless the options say so already. */
function trusting(server: H3Server, { allowPooling, client }: WebTransportOptions): WebTransportOptions {
  if (client !== undefined && ('fetch' in client || 'insecure' in client || 'ca' in client)) return {};
  if (allowPooling === true)
    return { client: { serverCertificateHashes: [server.certificateHash], ...client } };
  return { serverCertificateHashes: [{ algorithm: 'sha-256', value: server.certificateHash }] };
}
