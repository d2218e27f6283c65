import type { NativeClient } from '../../binding.cjs';
import { hexOf, type RemoteAddress } from '../datagrams.js';

/** What stays true of a connection. */
export interface Facts {
  readonly remoteAddress: RemoteAddress;
  readonly alpn: string;
  readonly connectionId: string;
  readonly resumed: boolean;
  readonly handshakeMs: number;
}

/** Connections remembered. */
const MOST = 64;

const GONE: Facts = {
  remoteAddress: { address: '', port: 0, family: 'IPv4' },
  alpn: 'h3',
  connectionId: '',
  resumed: false,
  handshakeMs: 0,
};

/** The facts of the connections that carried responses, asked for once each. */
export class ConnectionFacts {
  readonly #native: NativeClient;
  readonly #known = new Map<number, Facts>();

  constructor(native: NativeClient) {
    this.#native = native;
  }

  of(slot: number, generation: number): Facts {
    const known = this.#known.get(generation);
    if (known !== undefined) return known;
    const info = this.#native.connection(slot, generation);
    if (info === null) return GONE;
    const facts: Facts = {
      remoteAddress: info.remoteAddress as RemoteAddress,
      alpn: info.alpn,
      connectionId: hexOf(info.id),
      resumed: info.resumed,
      handshakeMs: info.handshakeMs ?? 0,
    };
    if (this.#known.size === MOST) this.#known.delete(this.#known.keys().next().value as number);
    this.#known.set(generation, facts);
    return facts;
  }
}
