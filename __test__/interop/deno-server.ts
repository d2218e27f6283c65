// Deno's own WebTransport server: `deno run --unstable-net deno-server.js <folder>`, which holds cert.pem and key.pem. Prints its
// URL. Every path echoes; `/sessions/open` begins a stream itself.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

/** A session as Deno has it; its streams are those of the W3C. */
interface DenoSession {
  readonly url: string;
  readonly ready: Promise<unknown>;
  readonly datagrams: {
    readonly readable: ReadableStream<Uint8Array>;
    readonly writable: WritableStream<Uint8Array>;
  };
  readonly incomingBidirectionalStreams: ReadableStream<DenoStream>;
  readonly incomingUnidirectionalStreams: ReadableStream<ReadableStream<Uint8Array>>;
  createBidirectionalStream(): Promise<DenoStream>;
  createUnidirectionalStream(): Promise<WritableStream<Uint8Array>>;
}

interface DenoStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

interface DenoGlobal {
  readonly QuicEndpoint: new (options: {
    hostname: string;
    port: number;
  }) => {
    readonly addr: { readonly port: number };
    listen(options: { cert: string; key: string; alpnProtocols: string[] }): AsyncIterable<unknown>;
  };
  upgradeWebTransport(connection: unknown): Promise<DenoSession>;
}

const { Deno } = globalThis as unknown as { readonly Deno: DenoGlobal };
const folder = process.argv[2] ?? '';
const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
const endpoint = new Deno.QuicEndpoint({ hostname: '127.0.0.1', port: 0 });
const listener = endpoint.listen({ cert: read('cert.pem'), key: read('key.pem'), alpnProtocols: ['h3'] });
console.log(`https://127.0.0.1:${endpoint.addr.port}/`);
for await (const connection of listener) void serve(connection).catch(() => undefined);

async function serve(connection: unknown): Promise<void> {
  const session = await Deno.upgradeWebTransport(connection);
  await session.ready;
  if (new URL(session.url).pathname === '/sessions/open') await open(session);
  else await echo(session);
}

async function echo(session: DenoSession): Promise<void> {
  session.datagrams.readable.pipeTo(session.datagrams.writable).catch(() => undefined);
  void eachOf(session.incomingUnidirectionalStreams, async (stream) =>
    stream.pipeTo(await session.createUnidirectionalStream()),
  );
  await eachOf(session.incomingBidirectionalStreams, ({ readable, writable }) => readable.pipeTo(writable));
}

async function eachOf<Item>(
  items: ReadableStream<Item>,
  take: (item: Item) => Promise<unknown>,
): Promise<void> {
  for await (const item of items) take(item).catch(() => undefined);
}

async function open(session: DenoSession): Promise<void> {
  const { readable, writable } = await session.createBidirectionalStream();
  const encoder = new TextEncoder();
  await writable.getWriter().write(encoder.encode('from the server\n'));
  const { value } = await readable.getReader().read();
  const told = new TextDecoder().decode(value);
  await (await session.createUnidirectionalStream()).getWriter().write(encoder.encode(`heard ${told}`));
}
