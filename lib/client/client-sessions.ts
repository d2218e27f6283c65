import type { NativeExchanges, NativeHooks } from '../../binding.cjs';
import { DatagramOutbox, eachDatagram } from '../datagrams.js';
import type { OpenSession, SessionCarrier, SessionName } from '../open-session.js';
import { sessionHooks } from '../session-hooks.js';
import type { SessionStream } from '../session-streams.js';

/** The WebTransport sessions of a client that its servers accepted. */
export class ClientSessions implements SessionCarrier {
  readonly datagrams = new DatagramOutbox('webtransport');
  readonly streams = new Map<number, SessionStream>();
  readonly hooks: Pick<NativeHooks, 'sessionStream' | 'sessionDraining' | 'sessionClosed' | 'stream'>;
  readonly #open = new Map<number, OpenSession>();
  #native: NativeExchanges | null = null;

  constructor() {
    this.hooks = sessionHooks((_slot, generation) => this.#open.get(generation), this.streams);
  }

  get native(): NativeExchanges {
    if (this.#native === null) throw new TypeError('sessions are used before they are connected');
    return this.#native;
  }

  connect(native: NativeExchanges): void {
    this.#native = native;
    this.datagrams.connect(native);
  }

  /** A server accepted `session`. */
  begin(session: OpenSession, name: SessionName): void {
    this.#open.set(name.generation, session);
    session.onOver(() => this.#open.delete(name.generation));
    session.open(this, name);
  }

  /** Hands the datagrams of a turn to their sessions. */
  takeDatagrams(count: number, words: Uint32Array, bytes: Uint8Array): void {
    eachDatagram(count, words, bytes, (_slot, generation, payload) => {
      // Memory of its own, as in browsers: code written for them looks at all of `buffer`, or transfers it.
      this.#open.get(generation)?.received(payload.slice());
    });
    this.datagrams.flush();
  }

  /** Every session breaks off. */
  destroy(): void {
    for (const session of [...this.#open.values()]) session.ended(null);
  }
}
