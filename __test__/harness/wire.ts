import { Buffer } from 'node:buffer';

/** Frame types (RFC 9114 §7.2). */
export const DATA = 0x00;
export const HEADERS = 0x01;
export const SETTINGS = 0x04;
export const GOAWAY = 0x07;

/** A frame: type, length, payload (RFC 9114 §7.1). */
export function frame(type: number, payload: Uint8Array): Buffer {
  return Buffer.concat([varint(type), varint(payload.byteLength), payload]);
}

/**
 * A field section of literals with literal names (RFC 9204 §4.5.6), without Huffman coding: each character of names and
 * values is one byte.
 */
export function fieldSection(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const lines = fields.map(([name, value]) =>
    Buffer.concat([
      prefixed(0x20, 3, name.length),
      Buffer.from(name, 'latin1'),
      prefixed(0x00, 7, value.length),
      Buffer.from(value, 'latin1'),
    ]),
  );
  return Buffer.concat([Buffer.from([0, 0]), ...lines]);
}

/** The payloads of all frames of `type` in `bytes`, joined. */
export function payloads(bytes: Buffer, type: number): Buffer {
  const found: Buffer[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    const kind = readVarint(rest);
    const length = readVarint(rest.subarray(kind.size));
    const start = kind.size + length.size;
    if (kind.value === type) found.push(rest.subarray(start, start + length.value));
    rest = rest.subarray(start + length.value);
  }
  return Buffer.concat(found);
}

/** Below 2³⁰. */
export function varint(value: number): Buffer {
  if (value < 0x40) return Buffer.from([value]);
  if (value < 0x4000) return Buffer.from([0x40 | (value >> 8), value & 0xff]);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((value | 0x8000_0000) >>> 0);
  return bytes;
}

/** The variable-length integer at the beginning of `bytes`, and how many bytes it takes (RFC 9000 §16). */
export function readVarint(bytes: Buffer): { value: number; size: number } {
  const first = bytes[0] ?? 0;
  const size = 1 << (first >> 6);
  let value = first & 0x3f;
  for (const byte of bytes.subarray(1, size)) value = value * 256 + byte;
  return { value, size };
}

/** An integer behind a prefix (RFC 9204 §4.1.1). */
function prefixed(flags: number, bits: number, value: number): Buffer {
  const most = (1 << bits) - 1;
  if (value < most) return Buffer.from([flags | value]);
  const bytes = [flags | most];
  let rest = value - most;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}
