// Deno's own WebTransport: `deno run --unstable-net deno-client.js <url> <SHA-256 of the certificate, hex>`.

import { Buffer } from 'node:buffer';
import process from 'node:process';
import { type ForeignSession, runSessionChecks } from './session-checks.js';

const [base = '', hash = ''] = process.argv.slice(2);

interface DenoGlobals {
  WebTransport: new (url: string, options: unknown) => ForeignSession;
  WebTransportError: new (message: string, options: unknown) => unknown;
}

const { WebTransport, WebTransportError } = globalThis as unknown as DenoGlobals;

await runSessionChecks({
  skipped: {
    'the ends of streams': 'closing a writable sends no FIN',
    'the close code of the client': 'its close() closes the connection and sends no capsule',
    'the close code of the server': 'it reads no capsules',
    'codes of resets and stops, by the server': 'its errors have no `streamErrorCode`',
    'codes of resets and stops, by the client': 'the server sees neither its abort() nor its cancel()',
    'a refused session': 'its `closed` resolves',
    'an agreed protocol': 'it has no option `protocols`',
    'a session that the server winds up': 'it has no `draining`',
  },
  open: (path, options) =>
    new WebTransport(new URL(path, base).href, {
      serverCertificateHashes: [{ algorithm: 'sha-256', value: Buffer.from(hash, 'hex') }],
      ...options,
    }),
  streamError: (streamErrorCode) => new WebTransportError('', { streamErrorCode }),
  print: console.log,
});
process.exit(0);
