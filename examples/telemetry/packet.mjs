/** The protocol that a connection agrees on (ALPN). */
export const ALPN = 'telemetry/1';

const BYTES = 16;

/** One reading: its number, counted from 0, when it was made (milliseconds since 1970), and its value. */
export function encode({ number, at, value }) {
  const view = new DataView(new ArrayBuffer(BYTES));
  view.setUint32(0, number);
  view.setFloat64(4, at);
  view.setFloat32(12, value);
  return new Uint8Array(view.buffer);
}

/** The reading in a datagram; null if it is none. */
export function decode(bytes) {
  if (bytes.byteLength !== BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, BYTES);
  return { number: view.getUint32(0), at: view.getFloat64(4), value: view.getFloat32(12) };
}
