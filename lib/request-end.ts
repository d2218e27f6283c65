import type { NativeRequestEnd } from '../binding.cjs';
import { hexOf, type RemoteAddress } from './datagrams.js';
import type { Logger } from './logger.js';
import type { H3Server } from './server.js';

/** A request that is over: what an access log says of it. */
export interface H3RequestEnd {
  /** The method; empty if the header section was refused unread (408, 431). */
  readonly method: string;
  /** The target as a URL; empty if the header section was refused unread. */
  readonly url: string;
  /** Path and query of `url`. */
  readonly path: string;
  /** The pattern of the route that matched; null if none did. */
  readonly route: string | null;
  /** The status of the answer; null if none was begun. */
  readonly status: number | null;
  /** Bytes of the body that were read. */
  readonly bytesReceived: number;
  /** Bytes of the answer's body that were sent; of an answer that did not end well, some may not have arrived. */
  readonly bytesSent: number;
  /** From the first byte of the request to its end, in milliseconds. */
  readonly durationMs: number;
  /** Where the client was. */
  readonly remoteAddress: RemoteAddress;
  /** The id of its connection, hexadecimal; the same as in `connections()` and the contexts of datagrams. */
  readonly connectionIdHex: string;
  /** As access logs name it. */
  readonly protocol: 'HTTP/3';
  /**
   * `"complete"`: all of the answer was sent. `"aborted"`: the client gave the request up, or is gone. `"reset"`: this side
   * gave it up. `"refused"`: the server answered by itself, no handler saw it (404, 405, 408, 413, 417, 425, 431, 501).
   */
  readonly outcome: 'complete' | 'aborted' | 'reset' | 'refused';
}

/** Takes the end of each request. */
export type RequestEndHook = (entry: H3RequestEnd, server: H3Server) => unknown;

/** Hands the ends of requests to who wants them. */
export class RequestEnds {
  /** How often the hook threw or rejected. */
  errors = 0n;
  readonly #hook: RequestEndHook;
  readonly #logger: Logger;

  constructor(hook: RequestEndHook, logger: Logger) {
    this.#hook = hook;
    this.#logger = logger;
  }

  /** Of a turn; one that fails must not take its neighbours with it. */
  take(ended: readonly NativeRequestEnd[], server: H3Server): void {
    for (const one of ended) {
      try {
        const result = this.#hook(entryOf(one), server);
        if (result instanceof Promise) result.catch((error: unknown) => this.#log(error));
      } catch (error) {
        this.#log(error);
      }
    }
  }

  #log(error: unknown): void {
    this.errors += 1n;
    this.#logger.error('trilane: onRequestEnd failed:', error);
  }
}

function entryOf(end: NativeRequestEnd): H3RequestEnd {
  const { method, url, bytesReceived, bytesSent, durationMs, outcome } = end;
  return {
    method,
    url,
    path: url.slice(pathStart(url)),
    route: end.route ?? null,
    status: end.status ?? null,
    bytesReceived,
    bytesSent,
    durationMs,
    remoteAddress: end.remoteAddress as RemoteAddress,
    connectionIdHex: hexOf(end.connectionId),
    protocol: 'HTTP/3',
    outcome,
  };
}

/** Behind "https://" and the authority. */
function pathStart(url: string): number {
  const slash = url.indexOf('/', url.indexOf('//') + 2);
  return slash === -1 ? url.length : slash;
}
