// Our own WebTransport against the server of somebody else: `own-client.js <url> <what to skip, as JSON>`.

import process from 'node:process';
import { WebTransport, WebTransportError } from 'trilane';
import { runSessionChecks } from './session-checks.js';

const [base = '', skipped = '{}'] = process.argv.slice(2);

await runSessionChecks({
  skipped: JSON.parse(skipped) as Record<string, string>,
  open: (path, options) => new WebTransport(new URL(path, base), { client: { insecure: true }, ...options }),
  streamError: (streamErrorCode) => new WebTransportError('', { streamErrorCode }),
  print: console.log,
});
// A check that failed may have left a session open.
process.exit(0);
