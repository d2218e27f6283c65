// Uploads `size` bytes to examples/upload as its page does, with Deno's WebTransport:
// `deno run --unstable-net session-upload.js <URL of the page> <name> <size> [<bytes that are sent>]`.
//
// Prints each line that it hears; then, that the server ended its side.

import process from 'node:process';
import { pattern } from '../harness/pattern.js';
import type { ForeignSession } from '../interop/session-checks.js';

const { WebTransport } = globalThis as unknown as {
  WebTransport: new (url: string, options: object) => ForeignSession;
};

const [page, name, size = '0', sent = size] = process.argv.slice(2);

const response = await fetch(new URL('session.json', page));
const { url, certificateHash } = (await response.json()) as { url: string; certificateHash: string };
const value = Uint8Array.from(atob(certificateHash), (char) => char.charCodeAt(0));
const session = new WebTransport(url, { serverCertificateHashes: [{ algorithm: 'sha-256', value }] });
await session.ready;
const { readable, writable } = await session.createBidirectionalStream();
const writer = writable.getWriter();
const sending = (async () => {
  await writer.write(new TextEncoder().encode(`${JSON.stringify({ name, size: Number(size) })}\n`));
  for (const piece of pattern(Number(sent))) await writer.write(piece);
  // Time for what was written to leave.
  if (sent !== size) setTimeout(() => session.close(), 500);
})();
sending.catch(() => undefined);
try {
  for await (const chunk of readable) process.stdout.write(new TextDecoder().decode(chunk));
  console.log('ended');
} catch (error) {
  console.log(`broken: ${error}`);
}
session.close();
await session.closed.catch(() => undefined);
// Deno needs a moment to tell the server.
setTimeout(() => process.exit(0), 100);
