// Runs in the browser: the checks of sessions with its own WebTransport.

import { type ForeignSession, runSessionChecks } from '../session-checks.js';

interface BrowserGlobals {
  WebTransport: { new (url: string, options: unknown): ForeignSession; prototype: object };
  /** Chromium still has the form of older drafts: the options alone. */
  WebTransportError: new (
    options: unknown,
  ) => unknown;
}

const { WebTransport, WebTransportError } = globalThis as unknown as BrowserGlobals;

/** Opens a session with the server at `base`, whose certificate has the SHA-256 `hash` (hex). */
export function open(base: string, hash: string, path: string, options: object = {}): ForeignSession {
  const value = Uint8Array.from(hash.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  return new WebTransport(new URL(path, base).href, {
    serverCertificateHashes: [{ algorithm: 'sha-256', value }],
    ...options,
  });
}

/** Runs the checks; each line goes to the function `report` of the page. */
export function run(base: string, hash: string): Promise<void> {
  const { report } = globalThis as unknown as { report(line: string): void };
  return runSessionChecks({
    open: (path, options) => open(base, hash, path, options),
    streamError: (streamErrorCode) => new WebTransportError({ streamErrorCode }),
    skipped:
      'draining' in WebTransport.prototype
        ? {}
        : { 'a session that the server winds up': 'it has no `draining`' },
    print: report,
  });
}
