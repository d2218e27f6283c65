// Bun's own HTTP/3 under the benchmark's work; see arguments.mjs. Prints {"port":N}; ends at SIGTERM.
import { join } from 'node:path';

import { file, serve } from 'bun';

import { announce, serverArguments } from './arguments.mjs';
import { buffer, counted, generator, hello, jsonEcho } from './handler.mjs';

const options = serverArguments();
const handlers: Record<string, (request: Request) => Response | Promise<Response>> = {
  '/generator': generator(Response),
  '/buffer': buffer(Response, options.file),
  '/file': () => new Response(file(options.file)),
  '/upload': counted(Response),
};
const works: Record<string, (request: Request) => Response | Promise<Response>> = {
  hello: hello(Response),
  many: hello(Response),
  json: jsonEcho(Response),
  bulk: (request) =>
    handlers[new URL(request.url).pathname]?.(request) ?? new Response(null, { status: 404 }),
};
const server = serve({
  port: 0,
  hostname: '127.0.0.1',
  http3: true,
  idleTimeout: 120,
  maxRequestBodySize: 2 ** 40,
  tls: {
    cert: file(join(options.certificate, 'cert.pem')),
    key: file(join(options.certificate, 'key.pem')),
  },
  fetch: works[options.work],
});
announce(server.port);
