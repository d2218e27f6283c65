import {
  type RouteDefinition,
  route,
  type WebTransportBidirectionalStream,
  type WebTransportCloseInfo,
  WebTransportError,
  type WTContext,
} from 'trilane';
import { type Deferred, deferred, soon } from '../harness/deadline.js';

/** How long `/ended/:id` waits for the session it is asked about to begin and to end, in milliseconds. */
const END_MS = 10_000;

/** How a session ended, as its handler saw it. */
type Ending = WebTransportCloseInfo | { readonly broke: string };

/**
 * The WebTransport sessions that foreign clients are set on. All clients rely on this, in whatever language. A line ends
 * with a line feed; only `echo` asks for the ends of streams, because not every client can send them.
 *
 * - `/sessions/echo/:id`: datagrams come back; so do the bytes and ends of bidirectional streams, while they come; those of
 *   a unidirectional stream come back on one of the server.
 * - `/sessions/ended/:id`: a unidirectional stream says, as JSON, how the echo session of that id ended.
 * - `/sessions/open`: the server opens a bidirectional stream, says "from the server", reads a line and says "heard " and
 *   that line on a unidirectional stream.
 * - `/sessions/close`: the server closes the session with 77 and "closed by the server ✓" after a first line of the client
 *   on a bidirectional stream.
 * - `/sessions/resets`: of the first bidirectional stream the server reads a line, then stops it with 6 and resets it with
 *   5. Of the second it says "go", then tells on a unidirectional stream, as JSON, with which codes the client reset and
 *   stopped it.
 * - `/sessions/refuse`: 403.
 * - `/sessions/protocol`: agrees to "second", if it is offered.
 * - `/sessions/drain`: the server asks for the session to be wound up.
 */
export function sessionRoutes(): RouteDefinition[] {
  const endings = new Map<string, Deferred<Ending>>();
  const endingOf = (id: string): Deferred<Ending> => {
    const known = endings.get(id) ?? deferred<Ending>();
    endings.set(id, known);
    return known;
  };
  return [
    route({
      method: 'CONNECT',
      pattern: '/sessions/echo/:id',
      webtransport(session) {
        const { resolve } = endingOf(session.params.id);
        session.closed.then(resolve, (error: unknown) => resolve({ broke: String(error) }));
        echo(session);
      },
    }),
    route({
      method: 'CONNECT',
      pattern: '/sessions/ended/:id',
      async webtransport(session) {
        const { id } = session.params;
        await say(
          session,
          JSON.stringify(await soon(`the end of session ${id}`, endingOf(id).promise, END_MS)),
        );
      },
    }),
    { method: 'CONNECT', pattern: '/sessions/open', webtransport: open },
    { method: 'CONNECT', pattern: '/sessions/close', webtransport: close },
    { method: 'CONNECT', pattern: '/sessions/resets', webtransport: resets },
    { method: 'CONNECT', pattern: '/sessions/refuse', webtransport: (session) => session.reject(403) },
    {
      method: 'CONNECT',
      pattern: '/sessions/protocol',
      webtransport: (session) =>
        session.accept(session.protocols.includes('second') ? { protocol: 'second' } : {}),
    },
    { method: 'CONNECT', pattern: '/sessions/drain', webtransport: (session) => session.drain() },
  ];
}

/** Sends back what comes, until the session is over. */
function echo(session: WTContext): void {
  const { readable, writable } = session.datagrams;
  ignoreEnd(readable.pipeTo(writable));
  ignoreEnd(each(session.incomingBidirectionalStreams, (stream) => stream.readable.pipeTo(stream.writable)));
  ignoreEnd(
    each(session.incomingUnidirectionalStreams, async (stream) =>
      stream.pipeTo(await session.createUnidirectionalStream()),
    ),
  );
}

async function open(session: WTContext): Promise<void> {
  const stream = await session.createBidirectionalStream();
  await write(stream.writable, 'from the server\n');
  await say(session, `heard ${await line(stream.readable)}`);
}

async function close(session: WTContext): Promise<void> {
  const { readable } = await next(session.incomingBidirectionalStreams.getReader());
  await line(readable);
  session.close({ closeCode: 77, reason: 'closed by the server ✓' });
}

async function resets(session: WTContext): Promise<void> {
  const streams = session.incomingBidirectionalStreams.getReader();
  const first = await next(streams);
  const reader = first.readable.getReader();
  await reader.read();
  await reader.cancel(new WebTransportError('', { streamErrorCode: 6 }));
  await first.writable.abort(new WebTransportError('', { streamErrorCode: 5 }));
  const { done, value: second } = await streams.read();
  if (!done) await say(session, JSON.stringify(await resetAndStop(second)));
}

/** With which codes the client resets and stops `stream`, once it was told to go ahead. */
async function resetAndStop(stream: WebTransportBidirectionalStream): Promise<unknown> {
  const writer = stream.writable.getWriter();
  await writer.write(bytes('go\n'));
  const code = (error: unknown): number | null => (error as WebTransportError).streamErrorCode;
  const [reset, stop] = await Promise.all([
    line(stream.readable).then(() => 'a line', code),
    writer.closed.then(() => 'closed', code),
  ]);
  return { reset, stop };
}

/** Says a line on a unidirectional stream. */
async function say(session: WTContext, message: string): Promise<void> {
  await write(await session.createUnidirectionalStream(), `${message}\n`);
}

async function write(stream: WritableStream<Uint8Array>, message: string): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(bytes(message));
  await writer.close();
}

/** The first line of `stream`, which is left open. */
async function line(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let read = '';
  while (!read.includes('\n')) {
    const { done, value } = await reader.read();
    if (done) throw new Error('a stream ended before its first line');
    read += decoder.decode(value, { stream: true });
  }
  reader.releaseLock();
  return read.slice(0, read.indexOf('\n'));
}

async function next<Item>(reader: ReadableStreamDefaultReader<Item>): Promise<Item> {
  const { done, value } = await reader.read();
  if (done) throw new Error('the session ended before the stream that was waited for');
  return value;
}

async function each<Item>(
  stream: ReadableStream<Item>,
  take: (item: Item) => Promise<unknown>,
): Promise<void> {
  for await (const item of stream) ignoreEnd(take(item));
}

/** A client may end its session, or a stream, at any time: that is no failure of the handler. */
function ignoreEnd(work: Promise<unknown>): void {
  work.catch(() => undefined);
}

function bytes(message: string): Uint8Array {
  return new TextEncoder().encode(message);
}
