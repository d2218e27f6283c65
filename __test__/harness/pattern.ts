import { createHash } from 'node:crypto';
import process from 'node:process';
import type { H3Request } from 'trilane';

/** Whether the specs run at full size: `H3_STRESS=1`. */
export const IS_STRESS = process.env['H3_STRESS'] === '1';

export const MEBIBYTE = 2 ** 20;

const PIECE_BYTES = 65_536;

/** The peer's bodies of `length` bytes, in pieces: the byte at offset n is n mod 251. */
export function* pattern(length: number, pieceBytes = PIECE_BYTES): Generator<Uint8Array> {
  for (let at = 0; at < length; at += pieceBytes) {
    yield Uint8Array.from({ length: Math.min(pieceBytes, length - at) }, (_, n) => (at + n) % 251);
  }
}

/** SHA-256 of such a body, hexadecimal. */
export function patternHash(length: number): string {
  const hash = createHash('sha256');
  for (const piece of pattern(length)) hash.update(piece);
  return hash.digest('hex');
}

/** Answers with such a body, made while it is sent. */
export function patternResponse(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Response {
  const stream = ReadableStream.from(pieces) as unknown as ConstructorParameters<typeof Response>[0];
  return new Response(stream);
}

/** Answers with the SHA-256 of a streamed body. */
export async function hashStream(request: H3Request): Promise<Response> {
  const hash = createHash('sha256');
  for await (const piece of request.body as unknown as AsyncIterable<Uint8Array>) hash.update(piece);
  return new Response(hash.digest('hex'));
}

/** Answers with the SHA-256 of a buffered body. */
export async function hashWhole(request: H3Request): Promise<Response> {
  const hash = createHash('sha256').update(new Uint8Array(await request.arrayBuffer()));
  return new Response(hash.digest('hex'));
}
