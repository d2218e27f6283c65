// What clients of HTTP/1.1 and HTTP/2 ask: `client-target.mjs <h1 | h2> <folder with cert.pem, key.pem>`.
// Prints {"port":N}; ends with its standard input.
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:https';
import { join } from 'node:path';
import process from 'node:process';

const [, , version, folder] = process.argv;
const options = { cert: readFileSync(join(folder, 'cert.pem')), key: readFileSync(join(folder, 'key.pem')) };
const answer = (_request, response) => {
  response.setHeader('content-type', 'text/plain');
  response.end('hello world');
};
const server = version === 'h2' ? createSecureServer(options, answer) : createServer(options, answer);
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`);
});
process.stdin.resume().once('end', () => process.exit(0));
