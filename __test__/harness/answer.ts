import { Buffer } from 'node:buffer';
import type { PeerFailure, Reply } from './peer.js';

/** An interim answer as the peer received it. */
export interface Interim {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** An answer as the peer received it. */
export class Answer {
  readonly #reply: Reply;
  readonly headers: readonly (readonly [name: string, value: string])[];

  constructor(reply: Reply) {
    this.#reply = reply;
    this.headers = (reply['headers'] as [string, string][] | undefined) ?? [];
  }

  /** Throws what went wrong if there is no status. */
  get status(): number {
    const status = this.#reply['status'];
    if (typeof status !== 'number') throw new Error(`no answer: ${JSON.stringify(this.#reply['error'])}`);
    return status;
  }

  /** The value of the only field of this name, or null if there is none. Throws if there are several. */
  header(name: string): string | null {
    const values = this.headerValues(name);
    if (values.length > 1) throw new Error(`${values.length} fields ${name}`);
    return values[0] ?? null;
  }

  /** The values of all fields of this name, in their order. */
  headerValues(name: string): string[] {
    return this.headers.filter(([key]) => key === name).map(([, value]) => value);
  }

  /** The body, if it has 64 KiB at most; else an error. */
  get bytes(): Buffer {
    const body = this.#reply['body_base64'];
    if (typeof body !== 'string') throw new Error(`the body has ${this.length} bytes: compare its hash`);
    return Buffer.from(body, 'base64');
  }

  get text(): string {
    return this.bytes.toString('utf8');
  }

  get json(): unknown {
    return JSON.parse(this.text);
  }

  /** Bytes of the body. */
  get length(): number {
    return this.#reply['body_length'] as number;
  }

  /** SHA-256 of the body, hexadecimal. */
  get sha256(): string {
    return this.#reply['body_sha256'] as string;
  }

  /** The trailers behind the body, or null if there were none. */
  get trailers(): readonly (readonly [name: string, value: string])[] | null {
    return this.#reply['trailers'] as [string, string][] | null;
  }

  /** The interim answers (1xx) that came before the final one. */
  get informational(): readonly Interim[] {
    return (this.#reply['informational'] as Interim[] | undefined) ?? [];
  }

  /** Whether the answer came to its end, a clean one if there is no error. */
  get ended(): boolean {
    return this.#reply['ended'] === true;
  }

  /** What ended the answer early. */
  get error(): PeerFailure | null {
    return (this.#reply['error'] as PeerFailure | undefined) ?? null;
  }

  /** What ended the sending of the request early. */
  get sendError(): PeerFailure | null {
    return (this.#reply['send_error'] as PeerFailure | undefined) ?? null;
  }
}
