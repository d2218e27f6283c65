import { describe } from './errors.js';
import { exposed } from './exposed.js';

/** What an error is about (W3C WebTransport §12). */
export type WebTransportErrorSource = 'stream' | 'session';

/** Options of {@link WebTransportError}. */
export interface WebTransportErrorOptions {
  /** Default `"stream"`. */
  readonly source?: WebTransportErrorSource;
  /** The application's code, 0 to 2³²-1; what is more or less becomes the nearest of these. Default null. */
  readonly streamErrorCode?: number | null;
}

/**
 * A stream or a session ended before its end (W3C WebTransport §12). Thrown by streams; given to `abort()` or `cancel()`, its
 * `streamErrorCode` is sent to the peer.
 */
export class WebTransportError extends DOMException {
  static {
    exposed(WebTransportError, 'WebTransportError');
  }

  readonly #source: WebTransportErrorSource;
  readonly #streamErrorCode: number | null;

  /**
   * @param message What happened, for people; it is not sent.
   * @param options The source and the code; the code is what the peer learns. Throws a TypeError for another source.
   */
  constructor(message = '', { source = 'stream', streamErrorCode = null }: WebTransportErrorOptions = {}) {
    super(message, 'WebTransportError');
    if (source !== 'stream' && source !== 'session') {
      throw new TypeError(`source is ${describe(source)}; expected "stream" or "session"`);
    }
    this.#source = source;
    this.#streamErrorCode = streamErrorCode === null ? null : clamped(Number(streamErrorCode));
  }

  /** Whether a stream ended, or the session with all that it has. */
  get source(): WebTransportErrorSource {
    return this.#source;
  }

  /** The code of the peer's application; null if it gave none. */
  get streamErrorCode(): number | null {
    return this.#streamErrorCode;
  }
}

/** `code` as WebIDL's [Clamp] unsigned long: the nearest, of two that are as near the even one. */
function clamped(code: number): number {
  const within = Math.min(Math.max(Number.isNaN(code) ? 0 : code, 0), 0xffff_ffff);
  const below = Math.floor(within);
  const isUp = within - below > 0.5 || (within - below === 0.5 && below % 2 === 1);
  return isUp ? below + 1 : below;
}

/** The code to send for what a stream was aborted or cancelled with. */
export function streamCode(reason: unknown): number {
  return reason instanceof WebTransportError ? (reason.streamErrorCode ?? 0) : 0;
}

/** The error of everything that belongs to a session which is over. */
export function sessionOver(message = 'the session is over'): WebTransportError {
  return new WebTransportError(message, { source: 'session' });
}
