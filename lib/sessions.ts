import type { NativeExchanges, NativeHooks } from '../binding.cjs';
import { DatagramOutbox, eachDatagram } from './datagrams.js';
import type { Exchange } from './exchange.js';
import type { H3Request } from './request.js';
import type { Route } from './routes.js';
import { Session, type SessionHost } from './session.js';
import { sessionHooks } from './session-hooks.js';
import type { SessionStream } from './session-streams.js';
import { UnreadDatagrams } from './unread-datagrams.js';
import { WebTransportError } from './webtransport-error.js';

/** H3_INTERNAL_ERROR (RFC 9114 §8.1). */
const H3_INTERNAL_ERROR = 0x102;

/** What sessions need of the dispatcher. */
export interface SessionOwner {
  find(slot: number, generation: number): Exchange | null;
  keep(exchange: Exchange): void;
  close(exchange: Exchange): void;
  refuse(exchange: Exchange, status: number): void;
  log(exchange: Exchange, error: unknown): void;
}

/** The WebTransport sessions of a server. */
export class Sessions {
  readonly datagrams = new DatagramOutbox('webtransport');
  readonly hooks: Pick<NativeHooks, 'sessionStream' | 'sessionDraining' | 'sessionClosed' | 'stream'>;
  readonly #owner: SessionOwner;
  readonly #streams = new Map<number, SessionStream>();
  /** What came too late, or nobody read in time. */
  readonly #unread = new UnreadDatagrams('webtransport');
  #native: NativeExchanges | null = null;

  constructor(owner: SessionOwner) {
    this.#owner = owner;
    const session = (slot: number, generation: number): Session | undefined =>
      owner.find(slot, generation)?.session ?? undefined;
    this.hooks = sessionHooks(session, this.#streams);
  }

  connect(native: NativeExchanges): void {
    this.#native = native;
    this.datagrams.connect(native);
    this.#unread.connect(native);
  }

  /** Hands the datagrams of a turn to their sessions. */
  takeDatagrams(count: number, words: Uint32Array, bytes: Uint8Array): void {
    eachDatagram(count, words, bytes, (slot, generation, payload) => {
      const gone = this.#owner.find(slot, generation)?.session?.received(payload) ?? 1;
      if (gone > 0) this.#unread.add(slot, generation, gone);
    });
    this.#unread.flush();
    this.datagrams.flush();
  }

  /** A client asks for a session: its handler decides. */
  begin(exchange: Exchange, request: H3Request, route: Route): void {
    this.#owner.keep(exchange);
    const session = new Session(this.#host(), exchange, request);
    exchange.session = session;
    const origin = request.headers.get('origin');
    // Browsers always send it, and no page can leave it out: a client without one is no page of another site.
    if (route.allowedOrigins !== null && origin !== null && !route.allowedOrigins.has(origin)) {
      session.reject(403);
      return;
    }
    let result: unknown;
    try {
      result = route.webtransport?.(session);
    } catch (error) {
      this.#failed(exchange, session, error);
      return;
    }
    if (!(result instanceof Promise)) {
      if (session.waiting) session.accept();
      return;
    }
    result.then(
      () => {
        if (session.waiting) session.accept();
      },
      (error: unknown) => this.#failed(exchange, session, error),
    );
  }

  #failed(exchange: Exchange, session: Session, error: unknown): void {
    // That a client leaves, or vanishes, is no failure of the handler that waited for it.
    if (!(error instanceof WebTransportError && error.source === 'session')) this.#owner.log(exchange, error);
    if (session.waiting) {
      session.reject(500);
      return;
    }
    if (exchange.over) return;
    this.#native?.reset(exchange.slot, exchange.generation, H3_INTERNAL_ERROR);
    session.fail();
  }

  #host(): SessionHost {
    const owner = this.#owner;
    return {
      native: this.#native as NativeExchanges,
      datagrams: this.datagrams,
      streams: this.#streams,
      refuse: (exchange, status) => owner.refuse(exchange, status),
      over: (exchange) => owner.close(exchange),
    };
  }
}
