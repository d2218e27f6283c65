import { Buffer } from 'node:buffer';
import { open } from 'node:fs/promises';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { H3Client } from '../client/client.js';
import type { H3RequestInit } from '../client/outgoing-request.js';
import type { H3Response } from '../client/response.js';
import type { Command } from './command.js';
import { CommandError, EXIT } from './exit-code.js';
import { Progress } from './progress.js';
import type { Sink, Terminal } from './terminal.js';
import { milliseconds, readUrl, TRUST_HELP, TRUST_OPTIONS, trustOptions } from './trust.js';
import { bytes, time } from './units.js';

const HELP = `trilane get URL [options]: request a URL over HTTP/3

  -X, --request METHOD      method (GET, or POST with -d)
  -H, --header "NAME: VALUE"
                            a header (may be repeated)
  -d, --data DATA           a body, @FILE for the content of a file, @- for standard input (may be repeated: joined by &)
  -L, --location            follow redirects
  -i, --include             print the head of the response, too
  -I, --head                HEAD: print the head of the response only
  -o, --output FILE         write the body to FILE, with a progress bar on a terminal; - for standard output
      --json                print one JSON document: status, headers, timing, trailers, body
  -t, --timing              print how long it took
  -v, --verbose             print what goes on
  -f, --fail                exit with 22 for a status from 400 on, and print no body
  -m, --max-time S          seconds for everything
${TRUST_HELP}
Exit codes are those of curl: 6 no such host, 7 no connection, 22 see -f, 28 timeout, 35 handshake, 60 certificate.
`;

const OPTIONS = {
  request: { type: 'string', short: 'X' },
  header: { type: 'string', short: 'H', multiple: true },
  data: { type: 'string', short: 'd', multiple: true },
  location: { type: 'boolean', short: 'L' },
  include: { type: 'boolean', short: 'i' },
  head: { type: 'boolean', short: 'I' },
  output: { type: 'string', short: 'o' },
  json: { type: 'boolean' },
  timing: { type: 'boolean', short: 't' },
  verbose: { type: 'boolean', short: 'v' },
  fail: { type: 'boolean', short: 'f' },
  'max-time': { type: 'string', short: 'm' },
  ...TRUST_OPTIONS,
} as const;

type Values = ReturnType<typeof parse>['values'];

function parse(parameters: readonly string[]) {
  return parseArgs({ args: [...parameters], allowPositionals: true, options: OPTIONS });
}

/** `trilane get`. */
export const get: Command = {
  help: HELP,
  async run(parameters, terminal) {
    const { values, positionals } = parse(parameters);
    const [text, extra] = positionals;
    if (extra !== undefined) throw new CommandError(EXIT.usage, `one URL at a time: what is ${extra}?`);
    const url = readUrl(text, 'get');
    const init = await requestOf(values, terminal);
    const client = new H3Client(trustOptions(values));
    try {
      return await new Transfer(values, terminal).run(client, url, init);
    } finally {
      client.destroy();
    }
  },
};

/** One request and what is printed of it. */
class Transfer {
  readonly #values: Values;
  readonly #out: Sink;
  readonly #err: Sink;
  readonly #began = performance.now();

  constructor(values: Values, { out, err }: Terminal) {
    this.#values = values;
    this.#out = out;
    this.#err = err;
  }

  async run(client: H3Client, url: URL, init: H3RequestInit): Promise<number> {
    await this.#note(`> ${init.method} ${url.pathname}${url.search} HTTP/3`, `> host: ${url.host}`);
    await this.#note(...[...new Headers(init.headers)].map(([name, value]) => `> ${name}: ${value}`));
    const response = await client.fetch(url, {
      ...init,
      onInformational: (status, headers) => {
        this.#note(`< HTTP/3 ${status}`, ...fieldLines(headers, '< ')).catch(() => undefined);
      },
    });
    const { remoteAddress, alpn, handshakeMs } = response.connection;
    await this.#note(
      `* ${remoteAddress.address} port ${remoteAddress.port}, ${alpn}, handshake ${time(handshakeMs)}`,
    );
    await this.#note(`< HTTP/3 ${response.status}`, ...fieldLines(response.headers, '< '));
    if (this.#values.fail === true && response.status >= 400) {
      throw new CommandError(EXIT.status, `the server answered ${response.status}`);
    }
    if (this.#values.json === true) await this.#printJson(response);
    else await this.#print(response);
    const trailers = [...(await response.trailers)];
    await this.#note(...trailers.map(([name, value]) => `< ${name}: ${value} (trailer)`));
    return EXIT.ok;
  }

  async #print(response: H3Response): Promise<void> {
    const { include, head, output, timing } = this.#values;
    if (include === true || head === true) {
      await this.#out.write(`HTTP/3 ${response.status}\n${fieldLines(response.headers, '').join('\n')}\n\n`);
    }
    const size =
      output === undefined || output === '-'
        ? await drain(response, (chunk) => this.#show(chunk))
        : await this.#save(response, output);
    if (timing === true) await this.#printTiming(response, size);
  }

  /** Prints a piece of the body, unless it would garble a terminal that did not ask for it. */
  async #show(chunk: Uint8Array): Promise<void> {
    if (this.#out.isTTY && this.#values.output === undefined && chunk.includes(0)) {
      throw new CommandError(
        EXIT.write,
        'the body is not text: -o FILE saves it, -o - prints it all the same',
      );
    }
    await this.#out.write(chunk);
  }

  async #save(response: H3Response, path: string): Promise<number> {
    const length = response.headers.get('content-length');
    const whole =
      response.headers.get('content-encoding') === null && length !== null ? Number(length) : null;
    const progress = new Progress(this.#err, whole);
    const file = await writing(path, open(path, 'w'));
    try {
      return await drain(response, async (chunk) => {
        await writing(path, file.writeFile(chunk));
        progress.add(chunk.byteLength);
      });
    } finally {
      progress.clear();
      await file.close();
    }
  }

  async #printTiming({ connection }: H3Response, size: number): Promise<void> {
    const total = performance.now() - this.#began;
    const rate = bytes((size / total) * 1000);
    const { handshakeMs, firstByteMs } = connection;
    await this.#err.write(
      `handshake ${time(handshakeMs)}, first byte ${time(firstByteMs)}, total ${time(total)}, ${bytes(size)}, ${rate}/s\n`,
    );
  }

  async #printJson(response: H3Response): Promise<void> {
    const output = this.#values.output === '-' ? undefined : this.#values.output;
    const chunks: Uint8Array[] = [];
    const size =
      output === undefined
        ? await drain(response, async (chunk) => void chunks.push(chunk))
        : await this.#save(response, output);
    const { handshakeMs, firstByteMs, ...connection } = response.connection;
    const document = {
      url: response.url,
      status: response.status,
      redirected: response.redirected,
      headers: [...response.headers],
      ...(output === undefined && bodyOf(Buffer.concat(chunks))),
      bytes: size,
      trailers: [...(await response.trailers)],
      timing: {
        handshakeMs: micros(handshakeMs),
        firstByteMs: micros(firstByteMs),
        totalMs: micros(performance.now() - this.#began),
      },
      connection,
    };
    await this.#out.write(`${JSON.stringify(document, null, 2)}\n`);
  }

  /** Lines for who wants to see everything. */
  async #note(...lines: string[]): Promise<void> {
    if (this.#values.verbose === true && lines.length > 0) await this.#err.write(`${lines.join('\n')}\n`);
  }
}

async function requestOf(values: Values, { interrupted }: Terminal): Promise<H3RequestInit> {
  const { request, data, head, location } = values;
  const timeout = values['max-time'];
  const headers = new Headers((values.header ?? []).map(headerPair));
  const body = data === undefined ? null : await dataOf(data);
  if (body !== null && !headers.has('content-type')) {
    headers.set('content-type', 'application/x-www-form-urlencoded');
  }
  const limit = timeout === undefined ? [] : [AbortSignal.timeout(milliseconds(timeout, '--max-time'))];
  return {
    method: request ?? (head === true ? 'HEAD' : body === null ? 'GET' : 'POST'),
    headers,
    ...(body !== null && { body }),
    redirect: location === true ? 'follow' : 'manual',
    signal: AbortSignal.any([interrupted, ...limit]),
  };
}

function headerPair(text: string): [string, string] {
  const colon = text.indexOf(':');
  if (colon > 0) return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
  throw new CommandError(EXIT.usage, `--header is ${JSON.stringify(text)}; expected "name: value"`);
}

async function dataOf(data: readonly string[]): Promise<Uint8Array> {
  const parts = await Promise.all(
    data.map(async (text) => (text.startsWith('@') ? read(text.slice(1)) : Buffer.from(text))),
  );
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from('&'), part])));
}

async function read(path: string): Promise<Uint8Array> {
  try {
    if (path !== '-') {
      const file = await open(path);
      try {
        return await file.readFile();
      } finally {
        await file.close();
      }
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
    return Buffer.concat(chunks);
  } catch (error) {
    throw new CommandError(EXIT.read, `cannot read ${path}: ${messageOf(error)}`);
  }
}

/** Hands each chunk of the body to `take`, one after the other. Resolves with the number of bytes. */
async function drain({ body }: Response, take: (chunk: Uint8Array) => Promise<void>): Promise<number> {
  if (body === null) return 0;
  const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return size;
    size += value.byteLength;
    await take(value);
  }
}

/** The body as text, or as base64 if it is none. */
function bodyOf(content: Uint8Array): { body: string } | { bodyBase64: string } {
  try {
    return { body: new TextDecoder('utf-8', { fatal: true }).decode(content) };
  } catch {
    return { bodyBase64: Buffer.from(content).toString('base64') };
  }
}

/** `ms` without more digits than it has: microseconds. */
function micros(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function fieldLines(headers: Headers, prefix: string): string[] {
  return [...headers].map(([name, value]) => `${prefix}${name}: ${value}`);
}

async function writing<Value>(path: string, done: Promise<Value>): Promise<Value> {
  try {
    return await done;
  } catch (error) {
    throw new CommandError(EXIT.write, `cannot write ${path}: ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
