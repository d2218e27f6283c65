// The checks of WebTransport for clients that have the W3C's API. Runs in browsers and in Deno.

import { reportChecks } from './report.js';

/** What is used of the W3C's `WebTransport`, which neither Node nor Bun has. */
export interface ForeignSession {
  readonly ready: Promise<unknown>;
  readonly closed: Promise<{ readonly closeCode?: number; readonly reason?: string }>;
  readonly draining?: Promise<unknown>;
  readonly protocol?: string;
  readonly datagrams: {
    readonly readable: ReadableStream<Uint8Array>;
    readonly writable?: WritableStream<Uint8Array>;
    /** What newer drafts have in place of `writable`. */
    createWritable?(): WritableStream<Uint8Array>;
  };
  readonly incomingBidirectionalStreams: ReadableStream<ForeignStream>;
  readonly incomingUnidirectionalStreams: ReadableStream<ReadableStream<Uint8Array>>;
  createBidirectionalStream(): Promise<ForeignStream>;
  createUnidirectionalStream(): Promise<WritableStream<Uint8Array>>;
  close(info?: { readonly closeCode?: number; readonly reason?: string }): void;
}

interface ForeignStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** What the checks need of a client. */
export interface SessionClient {
  /** Asks for a session at `path`. */
  open(path: string, options?: { readonly protocols?: readonly string[] }): ForeignSession;
  /** The `WebTransportError` to abort or cancel a stream with. */
  streamError(code: number): unknown;
  /** Checks that this client cannot pass, and why. */
  readonly skipped?: Readonly<Record<string, string>>;
  print(line: string): void;
}

/** Time until a datagram is sent again, in milliseconds: they may be lost. */
const RESEND_MS = 100;
const DATAGRAMS = 50;
const SESSIONS = 50;
const MIB = 1 << 20;
const CLIENT_CLOSES = 'the close code of the client';
const LINE_FEED = 0x0a;

const CHECKS: Readonly<Record<string, (client: SessionClient) => Promise<void>>> = {
  async 'datagrams both ways'(client) {
    const session = await echoSession(client);
    const { datagrams } = session;
    const writer = (datagrams.writable ?? datagrams.createWritable?.())?.getWriter();
    const missing = new Set(Array.from({ length: DATAGRAMS }, (_, n) => `datagram ${n}`));
    const send = (): void => {
      for (const message of missing) writer?.write(bytes(message)).catch(() => undefined);
    };
    send();
    const again = setInterval(send, RESEND_MS);
    try {
      const reader = datagrams.readable.getReader();
      while (missing.size > 0) missing.delete(decoded((await reader.read()).value));
    } finally {
      clearInterval(again);
    }
    session.close();
  },

  async 'a bidirectional stream of the client'(client) {
    const session = await echoSession(client);
    const { readable, writable } = await session.createBidirectionalStream();
    const writer = writable.getWriter();
    for (const message of ['one', 'two']) {
      await writer.write(bytes(`${message}\n`));
      equal('echo', await line(readable), message);
    }
    session.close();
  },

  async 'a unidirectional stream each way'(client) {
    const session = await echoSession(client);
    const writer = (await session.createUnidirectionalStream()).getWriter();
    await writer.write(bytes('one way\n'));
    equal('echo', await said(session), 'one way');
    session.close();
  },

  async 'a bidirectional stream of the server'(client) {
    const session = client.open('/sessions/open');
    await session.ready;
    const { readable, writable } = await next(session.incomingBidirectionalStreams);
    equal('greeting', await line(readable), 'from the server');
    await writable.getWriter().write(bytes('an answer\n'));
    equal('what the server heard', await said(session), 'heard an answer');
    session.close();
  },

  async '1 MiB there and back'(client) {
    const session = await echoSession(client);
    const { readable, writable } = await session.createBidirectionalStream();
    const writing = writable.getWriter().write(Uint8Array.from({ length: MIB }, (_, at) => at % 251));
    const echoed = await atLeast(readable, MIB);
    await writing;
    equal('length', echoed.length, MIB);
    equal(
      'first wrong byte',
      echoed.findIndex((byte, at) => byte !== at % 251),
      -1,
    );
    session.close();
  },

  async 'the ends of streams'(client) {
    const session = await echoSession(client);
    const { readable, writable } = await session.createBidirectionalStream();
    await write(writable, 'both ways');
    equal('what came back', decoded(await all(readable)), 'both ways');
    await write(await session.createUnidirectionalStream(), 'one way');
    const back = await next(session.incomingUnidirectionalStreams);
    equal('what came back', decoded(await all(back)), 'one way');
    session.close();
  },

  async [CLIENT_CLOSES](client) {
    const id = randomId();
    const session = await echoSession(client, id);
    session.close({ closeCode: 42, reason: 'closed by the client ✓' });
    equalInfo('what closed says', await session.closed, 42, 'closed by the client ✓');
    equalInfo('what the server saw', await ended(client, id), 42, 'closed by the client ✓');
  },

  async 'the close code of the server'(client) {
    const session = client.open('/sessions/close');
    await session.ready;
    const { writable } = await session.createBidirectionalStream();
    await writable.getWriter().write(bytes('close, please\n'));
    equalInfo('what closed says', await session.closed, 77, 'closed by the server ✓');
  },

  async 'codes of resets and stops, by the server'(client) {
    const session = client.open('/sessions/resets');
    await session.ready;
    const { readable, writable } = await session.createBidirectionalStream();
    const writer = writable.getWriter();
    await writer.write(bytes('x\n'));
    equal('code of the reset', await codeOf(all(readable)), 5);
    equal('code of the stop', await codeOf(writer.closed), 6);
    session.close();
  },

  async 'codes of resets and stops, by the client'(client) {
    const session = client.open('/sessions/resets');
    await session.ready;
    const first = await session.createBidirectionalStream();
    await first.writable.getWriter().write(bytes('x\n'));
    const { readable, writable } = await session.createBidirectionalStream();
    const writer = writable.getWriter();
    await writer.write(bytes('x'));
    equal('greeting', await line(readable), 'go');
    await writer.abort(client.streamError(7));
    await readable.cancel(client.streamError(8));
    equal('what the server saw', await said(session), '{"reset":7,"stop":8}');
    session.close();
  },

  async 'a refused session'(client) {
    const session = client.open('/sessions/refuse');
    const outcome = (promise: Promise<unknown>): Promise<string> =>
      promise.then(
        () => 'resolved',
        () => 'rejected',
      );
    equal('ready', await outcome(session.ready), 'rejected');
    equal('closed', await outcome(session.closed), 'rejected');
  },

  async 'an agreed protocol'(client) {
    const session = client.open('/sessions/protocol', { protocols: ['first', 'second'] });
    await session.ready;
    equal('protocol', session.protocol, 'second');
    session.close();
  },

  async 'a session that the server winds up'(client) {
    const session = client.open('/sessions/drain');
    await session.ready;
    if (session.draining === undefined) throw new Error('the client has no `draining`');
    await session.draining;
    session.close();
  },

  async [`${SESSIONS} sessions in a row`](client) {
    for (let n = 0; n < SESSIONS; n++) {
      const id = randomId();
      const session = await echoSession(client, id);
      const { readable, writable } = await session.createBidirectionalStream();
      await writable.getWriter().write(bytes(`session ${n}\n`));
      equal('echo', await line(readable), `session ${n}`);
      session.close({ closeCode: n, reason: `session ${n}` });
      await session.closed;
      const ending = await ended(client, id);
      if (client.skipped?.[CLIENT_CLOSES] === undefined) {
        equalInfo('what the server saw', ending, n, `session ${n}`);
      }
    }
  },
};

/** How many lines `runSessionChecks` prints. */
export const SESSION_CHECKS: number = Object.keys(CHECKS).length;

/** Runs every check and prints a line for each. */
export async function runSessionChecks(client: SessionClient): Promise<void> {
  const checks = Object.entries(CHECKS).map(([name, run]) => [name, () => run(client)] as const);
  await reportChecks(Object.fromEntries(checks), client.print, client.skipped);
}

async function echoSession(client: SessionClient, id = randomId()): Promise<ForeignSession> {
  const session = client.open(`/sessions/echo/${id}`);
  await session.ready;
  return session;
}

/** How the server saw the echo session `id` end. */
async function ended(client: SessionClient, id: string): Promise<{ closeCode?: number; reason?: string }> {
  const session = client.open(`/sessions/ended/${id}`);
  await session.ready;
  const ending = JSON.parse(await said(session)) as { closeCode?: number; reason?: string };
  session.close();
  return ending;
}

/** The line that the server says on its next unidirectional stream. */
async function said(session: ForeignSession): Promise<string> {
  return line(await next(session.incomingUnidirectionalStreams));
}

async function next<Item>(stream: ReadableStream<Item>): Promise<Item> {
  const reader = stream.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  if (value === undefined) throw new Error('the session ended before the stream that was waited for');
  return value;
}

async function write(stream: WritableStream<Uint8Array>, message: string): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(bytes(message));
  await writer.close();
}

/** The next line of `stream`, which is left open. */
async function line(stream: ReadableStream<Uint8Array>): Promise<string> {
  const read = decoded(await gathered(stream, (chunk) => chunk.includes(LINE_FEED)));
  if (!read.endsWith('\n')) throw new Error(`expected one line, got ${JSON.stringify(read)}`);
  return read.slice(0, -1);
}

function atLeast(stream: ReadableStream<Uint8Array>, length: number): Promise<Uint8Array> {
  return gathered(stream, (_, sum) => sum >= length);
}

function all(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return gathered(stream, () => false);
}

/** Reads until the chunk, or the sum of all, is `enough`, or to the end. */
async function gathered(
  stream: ReadableStream<Uint8Array>,
  enough: (chunk: Uint8Array, sum: number) => boolean,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sum = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    sum += value.length;
    if (enough(value, sum)) break;
  }
  reader.releaseLock();
  const whole = new Uint8Array(sum);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** The `streamErrorCode` that `promise` rejects with. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return (error as { streamErrorCode?: unknown }).streamErrorCode ?? String(error);
  }
}

function equal(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) {
    throw new Error(`${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
  }
}

function equalInfo(
  what: string,
  { closeCode, reason }: { closeCode?: number; reason?: string },
  code: number,
  text: string,
): void {
  equal(what, `${closeCode} ${reason}`, `${code} ${text}`);
}

function randomId(): string {
  return Math.random().toString(36).slice(2);
}

function bytes(message: string): Uint8Array {
  return new TextEncoder().encode(message);
}

function decoded(chunk: Uint8Array | undefined): string {
  return new TextDecoder().decode(chunk);
}
