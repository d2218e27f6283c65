import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { H3Client, type H3Exchange } from '../client/client.js';
import type { Command } from './command.js';
import { CommandError, EXIT } from './exit-code.js';
import { RoundTrips } from './round-trips.js';
import type { Terminal } from './terminal.js';
import { integer, readUrl, TRUST_HELP, TRUST_OPTIONS, trustOptions } from './trust.js';
import { time } from './units.js';

const HELP = `trilane ping URL [options]: measure handshake and round trips

  -c, --count N             round trips (10)
  -i, --interval MS         milliseconds between them (200)
  -W, --wait MS             milliseconds after which one counts as lost (1000)
      --datagrams           HTTP datagrams on a POST that the server sends back, instead of HEAD requests
      --json                print one JSON document
${TRUST_HELP}
Exits with 0 if something came back, else as trilane get does.
`;

const HOUR_MS = 3_600_000;
/** Bytes of a datagram: its number. */
const DATAGRAM_BYTES = 4;

/** Sends one; resolves when it is back, with what is printed beside the time. */
type Send = (sequence: number, signal: AbortSignal) => Promise<string>;

/** `trilane ping`. */
export const ping: Command = {
  help: HELP,
  async run(parameters, terminal) {
    const { values, positionals } = parseArgs({
      args: [...parameters],
      allowPositionals: true,
      options: {
        count: { type: 'string', short: 'c', default: '10' },
        interval: { type: 'string', short: 'i', default: '200' },
        wait: { type: 'string', short: 'W', default: '1000' },
        datagrams: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        ...TRUST_OPTIONS,
      },
    });
    const [text, extra] = positionals;
    if (extra !== undefined) throw new CommandError(EXIT.usage, `one URL at a time: what is ${extra}?`);
    const url = readUrl(text, 'ping');
    const pace = {
      count: integer(values.count, '--count', 1, 1_000_000),
      intervalMs: integer(values.interval, '--interval', 0, HOUR_MS),
      waitMs: integer(values.wait, '--wait', 1, HOUR_MS),
    };
    const client = new H3Client(trustOptions(values));
    try {
      const first = await connect(client, url, values.datagrams, terminal.interrupted);
      if (!values.json) await terminal.out.write(`${first.greeting}\n`);
      const trips = await measure(first.send, pace, terminal, values.json);
      const { handshakeMs } = first;
      await terminal.out.write(
        values.json
          ? `${JSON.stringify({ url: url.href, handshakeMs, ...trips.summary }, null, 2)}\n`
          : `\n${trips.report()}`,
      );
      return trips.summary.received > 0 ? EXIT.ok : EXIT.timeout;
    } finally {
      client.destroy();
    }
  },
};

interface Connected {
  readonly greeting: string;
  readonly handshakeMs: number;
  readonly send: Send;
}

/** The first exchange, which pays for the handshake and does not count. */
async function connect(
  client: H3Client,
  url: URL,
  byDatagram: boolean,
  signal: AbortSignal,
): Promise<Connected> {
  if (!byDatagram) {
    const { connection, status } = await client.fetch(url, { method: 'HEAD', redirect: 'manual', signal });
    const send: Send = async (_, until) => {
      const response = await client.fetch(url, { method: 'HEAD', redirect: 'manual', signal: until });
      return `status ${response.status}`;
    };
    return { ...greet(url, connection, `status ${status}`), send };
  }
  const exchange = await client.request(url, { method: 'POST', body: idle(), duplex: 'full', signal });
  if (exchange.datagrams.maxDatagramSize === 0) {
    throw new CommandError(EXIT.http3, 'the server takes no datagrams on this URL: leave --datagrams out');
  }
  const { connection, status } = exchange.response;
  return { ...greet(url, connection, `status ${status}`), send: echo(exchange) };
}

function greet(
  url: URL,
  { remoteAddress, handshakeMs }: H3Exchange['response']['connection'],
  outcome: string,
): Omit<Connected, 'send'> {
  const { address, port } = remoteAddress;
  const greeting = `${url.host} is ${address} port ${port}: handshake ${time(handshakeMs)}, ${outcome}`;
  return { greeting, handshakeMs };
}

/** Numbers the datagrams and waits for each to come back. */
function echo({ datagrams }: H3Exchange): Send {
  const waiting = new Map<number, () => void>();
  const listen = async (): Promise<void> => {
    const reader = datagrams.readable.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.byteLength < DATAGRAM_BYTES) continue;
      const sequence = new DataView(value.buffer, value.byteOffset).getUint32(0);
      waiting.get(sequence)?.();
      waiting.delete(sequence);
    }
  };
  // What ends the request ends what waits, by its time.
  listen().catch(() => undefined);
  return (sequence, signal) =>
    new Promise((resolve, reject) => {
      const payload = new Uint8Array(DATAGRAM_BYTES);
      new DataView(payload.buffer).setUint32(0, sequence);
      waiting.set(sequence, () => resolve(`${DATAGRAM_BYTES} bytes`));
      signal.addEventListener('abort', () => {
        waiting.delete(sequence);
        reject(signal.reason);
      });
      datagrams.send(payload);
    });
}

async function measure(
  send: Send,
  { count, intervalMs, waitMs }: { count: number; intervalMs: number; waitMs: number },
  { out, interrupted }: Terminal,
  quiet: boolean,
): Promise<RoundTrips> {
  const trips = new RoundTrips();
  for (let sequence = 1; sequence <= count && !interrupted.aborted; sequence++) {
    const began = performance.now();
    const signal = AbortSignal.any([interrupted, AbortSignal.timeout(waitMs)]);
    let line: string;
    try {
      const outcome = await send(sequence, signal);
      const ms = performance.now() - began;
      trips.add(ms);
      line = `${sequence}: ${time(ms)}, ${outcome}`;
    } catch (error) {
      if (interrupted.aborted) break;
      trips.add(null);
      const { cause, message } = error as Error;
      line = `${sequence}: lost, ${cause instanceof Error ? cause.message : message}`;
    }
    if (!quiet) await out.write(`${line}\n`);
    const rest = intervalMs - (performance.now() - began);
    if (sequence < count && rest > 0)
      await sleep(rest, undefined, { signal: interrupted }).catch(() => undefined);
  }
  return trips;
}

/** A body that stays open for as long as the request. */
function idle(): ReadableStream<Uint8Array> {
  return new ReadableStream();
}
