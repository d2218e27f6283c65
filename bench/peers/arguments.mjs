// The command line of every JavaScript server of the benchmark.
import process from 'node:process';
import { parseArgs } from 'node:util';

/**
 * `--work hello|json|bulk|many`: what is served; `many` is hello for thousands of connections. `--request own|lazy`: whose
 * Request and Response. `--certificate DIR`, with cert.pem and key.pem. `--file FILE`: what `bulk` sends as a file.
 */
export function serverArguments() {
  const text = (fallback) => ({ type: 'string', default: fallback });
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      work: text('hello'),
      request: text('own'),
      response: { type: 'string' },
      certificate: text('.'),
      file: text(''),
    },
  });
  return { ...values, response: values.response ?? values.request };
}

/** Says where the server is; it ends at SIGTERM. */
export function announce(port) {
  console.log(JSON.stringify({ port }));
  process.on('SIGTERM', () => process.exit(0));
}
