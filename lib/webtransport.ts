import type { H3Request } from './request.js';

/** A WebTransport session that a client asks for; the first use, or returning without `reject()`, accepts it. */
export interface WTContext<Params = Record<string, string>> {
  readonly request: H3Request<Params>;
  readonly params: Params;
  /** The id of the CONNECT stream. */
  readonly sessionId: bigint;
  /** Resolves when the session is over. */
  readonly closed: Promise<{ readonly closeCode: number; readonly reason: string }>;
  /** Resolves when the client asks for the session to be wound up. */
  readonly draining: Promise<void>;
  accept(): void;
  /** Refuses the session with an HTTP status from 300 to 599. */
  reject(status: number): void;
  /** Queues a datagram; false if it was dropped instead. */
  sendDatagram(data: Uint8Array): boolean;
  /** Ends the session; `reason` has at most 1,024 bytes of UTF-8. */
  close(code?: number, reason?: string): void;
  /** Asks the client to wind the session up. */
  drain(): void;
}
