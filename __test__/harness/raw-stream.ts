import { Buffer } from 'node:buffer';
import type { Reply } from './peer.js';

/** What came in on a stream of bare QUIC. */
export interface RawRead {
  readonly bytes: Buffer;
  /** The stream ended cleanly. */
  readonly fin: boolean;
  /** The code of the reset that ended it, or null. */
  readonly resetCode: number | null;
  readonly timedOut: boolean;
}

/** What a write carries: a HEADERS frame of literals, then bytes, then bytes again and again. */
export interface RawWrite {
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly bytes?: Uint8Array;
  readonly repeat?: { readonly bytes: Uint8Array; readonly count: number };
  readonly fin?: boolean;
  /** Sends every byte in a packet of its own, with this pause after it. */
  readonly byteByByteDelayMs?: number;
}

/** A stream of bare QUIC, for bytes that no sound client sends. */
export class RawStream {
  /** The stream's id (RFC 9000 §2.1). */
  readonly id: number;
  readonly #command: (verb: string, fields: object, patienceMs?: number) => Promise<Reply>;

  constructor(id: number, command: (verb: string, fields: object, patienceMs?: number) => Promise<Reply>) {
    this.id = id;
    this.#command = command;
  }

  /** Writes as far as the server gives credit. */
  async write(
    { headers, bytes, repeat, fin, byteByByteDelayMs }: RawWrite,
    patienceMs?: number,
  ): Promise<void> {
    const fields = {
      headers,
      hex: hex(bytes ?? new Uint8Array()),
      repeat: repeat === undefined ? undefined : { hex: hex(repeat.bytes), count: repeat.count },
      fin: fin ?? false,
      byte_by_byte_delay_ms: byteByByteDelayMs,
    };
    await this.#command('raw_write', fields, patienceMs);
  }

  /** Reads to the end of the stream, or to `min` bytes. */
  async read(min?: number, patienceMs?: number): Promise<RawRead> {
    const reply = await this.#command('raw_read', { min }, patienceMs);
    return {
      bytes: Buffer.from(reply['hex'] as string, 'hex'),
      fin: reply['fin'] === true,
      resetCode: reply['reset_code'] as number | null,
      timedOut: reply['timed_out'] === true,
    };
  }

  /** RESET_STREAM. */
  async reset(code: number): Promise<void> {
    await this.#command('raw_reset', { code });
  }

  /** STOP_SENDING. */
  async stop(code: number): Promise<void> {
    await this.#command('raw_stop', { code });
  }

  /** The code of the server's STOP_SENDING, or null when it took everything. */
  async stopped(): Promise<number | null> {
    return (await this.#command('raw_stopped', {}))['stopped'] as number | null;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
