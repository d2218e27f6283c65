import assert from 'node:assert/strict';
import { createH3Server, type H3ServeOptions, type H3Server, type Logger } from 'trilane';
import { Connection, type ConnectOptions } from './connection.js';
import { soon } from './deadline.js';

/** Keeps what a server logs. A spec takes what it expects; anything left at its end fails it. */
export class Log implements Logger {
  #entries: unknown[][] = [];

  /** All that was logged since the last call. */
  take(): unknown[][] {
    const entries = this.#entries;
    this.#entries = [];
    return entries;
  }

  /** How much was logged since the last {@link take}. */
  get size(): number {
    return this.#entries.length;
  }

  debug(): void {}

  info(...data: unknown[]): void {
    this.#entries.push(data);
  }

  warn(...data: unknown[]): void {
    this.#entries.push(data);
  }

  error(...data: unknown[]): void {
    this.#entries.push(data);
  }
}

/** What a spec plays on. */
export interface Stage {
  readonly server: H3Server;
  readonly log: Log;
  /** A connection of the peer to the server. */
  readonly connection: Connection;
  /** One more connection; it is closed at the end. */
  connect(options?: ConnectOptions): Promise<Connection>;
}

/**
 * Runs `run` with a server on a loopback address and a connection to it, then takes both down and checks that nothing of
 * it is left: no open request, no open connection, no logged error that the spec did not take.
 */
export async function withServer<const Patterns extends readonly string[]>(
  options: H3ServeOptions<Patterns>,
  run: (stage: Stage) => Promise<void>,
): Promise<void> {
  const log = new Log();
  const server = createH3Server({
    hostname: '127.0.0.1',
    logger: log,
    udpBufferWarning: false,
    ...options,
  });
  const connections: Connection[] = [];
  const connect = async (how?: ConnectOptions): Promise<Connection> => {
    const connection = await Connection.open(server.url, how);
    connections.push(connection);
    return connection;
  };
  try {
    await run({ server, log, connection: await connect(), connect });
  } finally {
    await soon('server.stop(true)', server.stop(true));
    server.close();
  }
  const { connectionsActive, requestsActive } = server.getStats();
  assert.deepEqual({ connectionsActive, requestsActive }, { connectionsActive: 0, requestsActive: 0 });
  assert.deepEqual(log.take(), [], 'the server logged what the spec did not expect');
}

/** The two kinds of request that handlers can be given. */
export const REQUEST_KINDS = ['own', 'lazy'] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];
