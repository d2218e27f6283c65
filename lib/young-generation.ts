import { takesResponses } from './runtime.js';

/**
 * Bytes of buffers for one element, of eight bytes, of the array that goes with them. With a third of the elements an upload of
 * 300 MB on Node 26 has seven full collections, with these one, without any nine.
 */
const BYTES_FOR_AN_ELEMENT = 64;

/** Buffers below it come with enough objects. */
const LEAST_BYTES = 32 * 1024;

/** What is held until the next one: the optimising compiler leaves out what nobody can see. */
const held: { last: unknown[] | null } = { last: null };

/**
 * To be called with the length of each buffer of a body that was handed to JavaScript. V8 lets a young buffer go in a young
 * collection, which takes half a millisecond, but has one only when so many objects were made. An upload makes hardly any, so
 * that its buffers fill what the old generation may have first, and a full collection of 20 ms comes every 25 MB: a third of
 * all that an upload costs on Node. So an eighth of their bytes is made as objects that are forgotten at once.
 *
 * Not on Deno, where it cost more than it saved, nor on Bun, whose engine is another.
 */
export function ageBy(bytes: number): void {
  if (takesResponses || bytes < LEAST_BYTES) return;
  held.last = new Array(Math.ceil(bytes / BYTES_FOR_AN_ELEMENT));
}
