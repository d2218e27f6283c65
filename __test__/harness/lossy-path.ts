import type { Buffer } from 'node:buffer';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { soon } from './deadline.js';

const LOOPBACK = '127.0.0.1';

/** What becomes of datagrams, each a probability from 0 to 1. Both directions alike. */
export interface Misfortunes {
  readonly drop: number;
  readonly duplicate: number;
  /** Held back, so that later ones overtake it. */
  readonly delay: number;
  /** One byte is changed. */
  readonly corrupt: number;
}

/** How long an overtaken datagram is held back at most, in milliseconds. */
const DELAY_MS = 15;

/** How often each misfortune happened, and how many datagrams came at all. */
export type Tally = Record<keyof Misfortunes | 'datagrams', number>;

/**
 * A UDP proxy for one client of a server on the loopback address. The same seed gives the same sequence of misfortunes; which
 * datagrams they meet depends on the timing.
 */
export class LossyPath {
  readonly tally: Tally = { datagrams: 0, drop: 0, duplicate: 0, delay: 0, corrupt: 0 };
  readonly #misfortunes: Misfortunes;
  readonly #random: () => number;
  readonly #front = createSocket('udp4');
  readonly #back = createSocket('udp4');
  readonly #delayed = new Set<NodeJS.Timeout>();
  #client: number | null = null;

  private constructor(misfortunes: Misfortunes, seed: number) {
    this.#misfortunes = misfortunes;
    this.#random = generator(seed);
  }

  /** Begins to carry datagrams between whoever sends to {@link url} and the server at `port`. */
  static async open(port: number, misfortunes: Misfortunes, seed: number): Promise<LossyPath> {
    const path = new LossyPath(misfortunes, seed);
    await path.#bind(port);
    return path;
  }

  /** Where the client finds the server. */
  get url(): URL {
    return new URL(`https://${LOOPBACK}:${this.#front.address().port}/`);
  }

  close(): void {
    for (const timer of this.#delayed) clearTimeout(timer);
    this.#front.close();
    this.#back.close();
  }

  async #bind(port: number): Promise<void> {
    this.#front.on('message', (datagram, { port: client }) => {
      this.#client = client;
      this.#carry(datagram, this.#back, port);
    });
    this.#back.on('message', (datagram) => {
      if (this.#client !== null) this.#carry(datagram, this.#front, this.#client);
    });
    for (const socket of [this.#front, this.#back]) {
      socket.bind(0, LOOPBACK);
      await soon('a socket of the lossy path', once(socket, 'listening'));
    }
  }

  #carry(datagram: Buffer, socket: Socket, port: number): void {
    this.tally.datagrams += 1;
    if (this.#happens('drop')) return;
    if (this.#happens('corrupt')) this.#corrupt(datagram);
    const send = (): void => socket.send(datagram, port, LOOPBACK);
    if (this.#happens('duplicate')) send();
    if (!this.#happens('delay')) {
      send();
      return;
    }
    const timer = setTimeout(
      () => {
        this.#delayed.delete(timer);
        send();
      },
      1 + this.#random() * DELAY_MS,
    );
    this.#delayed.add(timer);
  }

  #happens(what: keyof Misfortunes): boolean {
    const happens = this.#random() < this.#misfortunes[what];
    if (happens) this.tally[what] += 1;
    return happens;
  }

  #corrupt(datagram: Buffer): void {
    const at = Math.floor(this.#random() * datagram.length);
    datagram[at] = (datagram[at] ?? 0) ^ (1 + Math.floor(this.#random() * 255));
  }
}

/** Numbers from 0 to 1 that depend on the seed alone: a xorshift generator of 32 bits (Marsaglia, 2003). */
function generator(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
