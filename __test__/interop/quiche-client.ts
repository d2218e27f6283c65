// `@currentspace/http3` (quiche) on Node 24 or newer: `node quiche-client.js <url>`.

import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import process from 'node:process';
import type { Duplex } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { type ForeignAnswer, runChecks } from './checks.js';

type Headers = Readonly<Record<string, string | string[]>>;

/** What is used of the package; it is installed beside the runtimes, where the compiler does not look. */
interface Session {
  request(headers: Headers, options: { endStream: boolean }): Stream;
  close(): Promise<void>;
}

interface Stream extends Duplex {
  close(code?: number): void;
}

interface Http3 {
  connectAsync(authority: string, options: { rejectUnauthorized: boolean }): Promise<Session>;
}

const require = createRequire(new URL('../runtimes/package.json', import.meta.url));
const { connectAsync } = (await import(pathToFileURL(require.resolve('@currentspace/http3')).href)) as Http3;
const { host } = new URL(process.argv[2] ?? '');
const session = await connectAsync(host, { rejectUnauthorized: false });

const H3_REQUEST_CANCELLED = 0x10c;

function begin(method: string, path: string, endStream: boolean): Stream {
  return session.request(
    { ':method': method, ':path': path, ':authority': host, ':scheme': 'https' },
    { endStream },
  );
}

await runChecks({
  request: (method, path, body) =>
    new Promise<ForeignAnswer>((resolve, reject) => {
      const stream = begin(method, path, body === undefined);
      const chunks: Buffer[] = [];
      let head: Headers = {};
      stream.on('response', (received: Headers) => {
        head = received;
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('end', () => {
        const header = (name: string): string | null => {
          const value = head[name];
          return typeof value === 'string' ? value : (value?.join(', ') ?? null);
        };
        resolve({ status: Number(head[':status']), header, body: Buffer.concat(chunks) });
      });
      if (body !== undefined) stream.end(Buffer.from(body));
    }),
  cancel: (path) =>
    new Promise((resolve, reject) => {
      const stream = begin('GET', path, true);
      stream.on('error', reject);
      stream.once('data', () => {
        stream.close(H3_REQUEST_CANCELLED);
        resolve();
      });
    }),
  skipped: {
    'interim answer': '@currentspace/http3 takes an interim answer for the final one',
    trailers: 'its client has no way to send trailers',
  },
});
await session.close();
