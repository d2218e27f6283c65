import { isArrayBuffer } from './body.js';
import { describe } from './errors.js';

/** The longest label and context of keying material, in bytes (draft-ietf-webtrans-http3-16 §4.8). */
const MOST_INPUT_BYTES = 255;
/** The most keying material at once, in bytes: what W3C WebTransport §6.5 asks for. HKDF with SHA-256 ends at 8,160. */
const MOST_OUTPUT_BYTES = 4096;

/** What keying material is made from. */
export interface ExporterInput {
  readonly label: Uint8Array;
  readonly context: Uint8Array;
  readonly length: number;
}

/** The arguments of `exportKeyingMaterial()` as WebIDL converts them. Throws a TypeError, or a RangeError for what is too long. */
export function exporterInput(label: unknown, context: unknown, outputLength: unknown): ExporterInput {
  const input = {
    label: bufferSource(label, 'label'),
    context: bufferSource(context, 'context'),
    length: Number(outputLength) >>> 0,
  };
  for (const name of ['label', 'context'] as const) {
    if (input[name].byteLength > MOST_INPUT_BYTES) {
      throw new RangeError(
        `the ${name} has ${input[name].byteLength} bytes; expected at most ${MOST_INPUT_BYTES}`,
      );
    }
  }
  if (input.length === 0 || input.length > MOST_OUTPUT_BYTES) {
    throw new RangeError(
      `outputLength is ${String(outputLength)}; expected 1 to ${MOST_OUTPUT_BYTES.toLocaleString('en')} bytes`,
    );
  }
  return input;
}

function bufferSource(value: unknown, name: string): Uint8Array {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (isArrayBuffer(value)) return new Uint8Array(value);
  throw new TypeError(`the ${name} is ${describe(value)}; expected an ArrayBuffer or a view of one`);
}
