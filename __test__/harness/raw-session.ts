import { Buffer } from 'node:buffer';
import { Connection } from './connection.js';
import type { RawStream } from './raw-stream.js';
import { frame, SETTINGS, varint } from './wire.js';

/** SETTINGS with H3_DATAGRAM = 1 on a control stream (RFC 9297 §2.1.1). */
export const AGREEING = '0004023301';

/** The same of a client of draft 16 that speaks flow control of sessions (§5.5), and what it lets the server have at first. */
export function agreeingWithFlowControl(grants: { dataBytes: number; bidi: number; uni: number }): string {
  const pairs = [
    [0x33, 1],
    [0x2c7cf000, 1],
    [0x2b61, grants.dataBytes],
    [0x2b64, grants.uni],
    [0x2b65, grants.bidi],
  ];
  const settings = frame(SETTINGS, Buffer.concat(pairs.flat().map(varint)));
  return Buffer.concat([Uint8Array.of(0), settings]).toString('hex');
}

/** First bytes of streams of the session on stream 0 (draft-ietf-webtrans-http3-16 §4.2 and §4.3). */
const BIDI = Uint8Array.of(0x40, 0x41, 0);
const UNI = Uint8Array.of(0x40, 0x54, 0);

/** WT_CLOSE_SESSION and WT_DRAIN_SESSION. */
const CLOSE = [0x68, 0x43];
export const DRAIN_CAPSULE: Uint8Array = Uint8Array.of(0x80, 0, 0x78, 0xae, 0);

/** Codes of the draft. */
export const WT_SESSION_GONE = 0x170d7b68;
export const WT_FLOW_CONTROL_ERROR = 0x045d4487;

/** The HTTP/3 code that carries an application's (draft-ietf-webtrans-http3-16 §4.4). */
export function http3Code(code: number): number {
  return 0x52e4a40fa8db + code + Math.floor(code / 0x1e);
}

/** The client of one WebTransport session, on a connection of its own, in bytes. */
export class RawSession {
  readonly connection: Connection;
  /** The CONNECT stream. */
  readonly connect: RawStream;

  private constructor(connection: Connection, connect: RawStream) {
    this.connection = connection;
    this.connect = connect;
  }

  /** Asks for a session; the answer is still to be read. */
  static async ask(
    url: URL,
    path: string,
    headers: readonly [string, string][] = [],
    controlHex = AGREEING,
  ): Promise<RawSession> {
    const connection = await Connection.openRaw(url, { controlHex });
    const connect = await connection.openStream();
    await connect.write({
      headers: [
        [':method', 'CONNECT'],
        [':protocol', 'webtransport'],
        [':scheme', 'https'],
        [':authority', url.host],
        [':path', path],
        ...headers,
      ],
    });
    return new RawSession(connection, connect);
  }

  /** Opens a stream of the session. */
  async open(kind: 'bidi' | 'uni', bytes: string, fin = false): Promise<RawStream> {
    const stream = await this.connection.openStream(kind);
    const prefix = kind === 'bidi' ? BIDI : UNI;
    await stream.write({ bytes: Buffer.concat([prefix, Buffer.from(bytes)]), fin });
    return stream;
  }

  /** The next stream that the server opens, and the bytes behind its prefix. */
  async accept(kind: 'bidi' | 'uni', length: number): Promise<{ stream: RawStream; bytes: Buffer }> {
    const stream = await this.connection.acceptStream(kind);
    const { bytes } = await stream.read(3 + length);
    return { stream, bytes: bytes.subarray(3) };
  }

  /** Sends a capsule as content of the request (RFC 9297 §3.2). */
  async capsule(bytes: Uint8Array, fin = false): Promise<void> {
    await this.connect.write({ bytes: Buffer.concat([Uint8Array.of(0, bytes.length), bytes]), fin });
  }

  /** WT_CLOSE_SESSION, then the end of the stream. */
  close(code: number, reason: string): Promise<void> {
    return this.capsule(closeCapsule(code, reason), true);
  }
}

/** WT_CLOSE_SESSION (draft-ietf-webtrans-http3-16 §6). */
export function closeCapsule(code: number, reason: string): Uint8Array {
  const text = Buffer.from(reason);
  const head = Buffer.from([...CLOSE, 4 + text.length, 0, 0, 0, 0]);
  head.writeUInt32BE(code, 3);
  return Buffer.concat([head, text]);
}
