// @currentspace/http3 (quiche) under the benchmark's work, on Node 24 or newer; see arguments.mjs. Prints {"port":N}; ends at
// SIGTERM.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { announce, serverArguments } from './arguments.mjs';
import { hello, jsonEcho } from './handler.mjs';

// It is installed beside the runtimes.
const require = createRequire(new URL('../../__test__/runtimes/package.json', import.meta.url));
const { serveFetch } = await import(pathToFileURL(require.resolve('@currentspace/http3/fetch')).href);

const { work, certificate } = serverArguments();
const server = serveFetch({
  port: 0,
  host: '127.0.0.1',
  cert: readFileSync(join(certificate, 'cert.pem')),
  key: readFileSync(join(certificate, 'key.pem')),
  disableRetry: true,
  fetch: (work === 'json' ? jsonEcho : hello)(Response),
});
const waitForPort = setInterval(() => {
  const port = server.address()?.port;
  if (!port) return;
  clearInterval(waitForPort);
  announce(port);
}, 5);
