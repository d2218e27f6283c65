import { Buffer } from 'node:buffer';

/** A capsule of a type and a length below 64 (RFC 9297 §3.2). */
export function capsule(type: number, payload: string | Uint8Array): Buffer {
  const bytes = Buffer.from(payload as string);
  return Buffer.concat([Uint8Array.of(type, bytes.length), bytes]);
}

/** A DATAGRAM capsule (RFC 9297 §3.5). */
export function datagramCapsule(payload: string | Uint8Array): Buffer {
  return capsule(0, payload);
}
