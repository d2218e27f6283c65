// trilane under the benchmark's handler, on any runtime: `trilane.mjs --request own|lazy [--response own|lazy]`. Prints {"port":N}; ends at SIGTERM.
import process from 'node:process';
import { parseArgs } from 'node:util';

import { createH3Server, Response as H3Response } from '../../index.js';
import { hello } from './handler.mjs';

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { request: { type: 'string', default: 'own' }, response: { type: 'string' } },
});
const server = createH3Server({
  port: 0,
  request: values.request,
  fetch: hello((values.response ?? values.request) === 'lazy' ? H3Response : Response),
});
console.log(JSON.stringify({ port: server.port }));
process.on('SIGTERM', () => process.exit(0));
