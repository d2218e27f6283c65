// Deno's own WebTransport as a server: `deno run --unstable-net deno-session-server.js <cert.pem> <key.pem>`. Prints its URL;
// the sessions are those of `session-routes.ts`, as far as Deno can have them.

import { readFileSync } from 'node:fs';
import process from 'node:process';
import { type Deferred, deferred } from '../../harness/deadline.js';
import type { ForeignSession } from '../session-checks.js';

/** A session that a client asked for. */
interface Session extends ForeignSession {
  readonly url: string;
}

interface Listener extends AsyncIterable<unknown> {
  incoming(): Promise<{ accept(): Promise<unknown> }>;
}

interface DenoQuic {
  QuicEndpoint: new (options: {
    hostname: string;
    port: number;
  }) => {
    readonly addr: { readonly port: number };
    listen(options: { cert: string; key: string; alpnProtocols: string[] }): Listener;
  };
  upgradeWebTransport(connection: unknown): Promise<Session>;
}

const { QuicEndpoint, upgradeWebTransport } = (globalThis as unknown as { Deno: DenoQuic }).Deno;
const [cert = '', key = ''] = process.argv.slice(2);
const endpoint = new QuicEndpoint({ hostname: '127.0.0.1', port: 0 });
const listener = endpoint.listen({
  cert: readFileSync(cert, 'utf8'),
  key: readFileSync(key, 'utf8'),
  alpnProtocols: ['h3'],
});
/** Echo sessions that have ended, by the last part of their path. */
const endings = new Map<string, Deferred<unknown>>();

console.log(`https://127.0.0.1:${endpoint.addr.port}/`);
for (;;) {
  const incoming = await listener.incoming();
  ignoreEnd(incoming.accept().then(upgradeWebTransport).then(serve));
}

async function serve(session: Session): Promise<void> {
  const [, , what, id = ''] = new URL(session.url).pathname.split('/');
  await session.ready;
  if (what === 'echo') echo(session, id);
  else if (what === 'ended') await say(session, JSON.stringify(await ending(id).promise));
  else if (what === 'open') await open(session);
}

function echo(session: Session, id: string): void {
  session.closed.then(ending(id).resolve, (error: unknown) => ending(id).resolve({ broke: String(error) }));
  const { readable, writable } = session.datagrams;
  if (writable !== undefined) ignoreEnd(readable.pipeTo(writable));
  ignoreEnd(each(session.incomingBidirectionalStreams, (stream) => stream.readable.pipeTo(stream.writable)));
  ignoreEnd(
    each(session.incomingUnidirectionalStreams, async (stream) =>
      stream.pipeTo(await session.createUnidirectionalStream()),
    ),
  );
}

async function open(session: Session): Promise<void> {
  const { readable, writable } = await session.createBidirectionalStream();
  await writable.getWriter().write(bytes('from the server\n'));
  const { value } = await readable.getReader().read();
  await say(session, `heard ${new TextDecoder().decode(value).trimEnd()}`);
}

function ending(id: string): Deferred<unknown> {
  const known = endings.get(id) ?? deferred<unknown>();
  endings.set(id, known);
  return known;
}

async function say(session: Session, message: string): Promise<void> {
  await (await session.createUnidirectionalStream()).getWriter().write(bytes(`${message}\n`));
}

async function each<Item>(
  stream: ReadableStream<Item>,
  take: (item: Item) => Promise<unknown>,
): Promise<void> {
  for await (const item of stream) ignoreEnd(take(item));
}

/** A client may end its session, or a stream, at any time. */
function ignoreEnd(work: Promise<unknown>): void {
  work.catch(() => undefined);
}

function bytes(message: string): Uint8Array {
  return new TextEncoder().encode(message);
}
