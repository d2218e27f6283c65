// trilane under the benchmark's work, on any runtime; see arguments.mjs. Prints {"port":N}; ends at SIGTERM.
import { createH3Server, fileResponse, Response as H3Response } from '../../dist/index.js';
import { announce, serverArguments } from './arguments.mjs';
import { buffer, counted, generator, hello, jsonEcho } from './handler.mjs';

const { work, request, response, file } = serverArguments();
const ResponseClass = response === 'lazy' ? H3Response : Response;
const MANY = 20_000;

const WORKS = {
  hello: () => ({ fetch: hello(ResponseClass) }),
  many: () => ({
    fetch: hello(ResponseClass),
    limits: { maxConnections: MANY, maxConnectionsPerIp: MANY, idleTimeoutMs: 120_000 },
  }),
  json: () => ({ fetch: jsonEcho(ResponseClass) }),
  bulk: () => ({
    routes: [
      { method: 'GET', pattern: '/generator', fetch: generator(H3Response) },
      { method: 'GET', pattern: '/buffer', fetch: buffer(H3Response, file) },
      { method: 'GET', pattern: '/file', fetch: () => fileResponse(file) },
      { method: 'POST', pattern: '/upload', mode: 'streaming', fetch: counted(H3Response) },
    ],
  }),
};

announce(createH3Server({ port: 0, request, ...WORKS[work]() }).port);
