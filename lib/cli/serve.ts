import { Buffer } from 'node:buffer';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { serveStatic } from '../serve-static.js';
import { createH3Server, type H3Server } from '../server.js';
import type { Command } from './command.js';
import { CommandError, EXIT } from './exit-code.js';
import { folderPage } from './folder-page.js';
import type { Sink } from './terminal.js';
import { integer } from './trust.js';
import { time } from './units.js';

const HELP = `trilane serve [DIR] [options]: serve a folder over HTTP/3

  DIR                the folder (default: the current one)
  -p, --port PORT    UDP port, 0 for any free one (4433)
      --host HOST    address or name to listen on (127.0.0.1); :: for all addresses
      --cert FILE    certificate chain, PEM; without one a development certificate is made
      --key FILE     its private key
  -q, --quiet        print no line for each request

A folder without index.html is answered with a page of its names. Names that begin with a dot are hidden.
Ctrl-C finishes what is under way and ends; a second one ends at once.
`;

const DEFAULT_PORT = '4433';
/** Not by name: clients that take `localhost` for ::1 alone, as Bun's, would find nobody there. */
const DEFAULT_HOST = '127.0.0.1';

/** `trilane serve`. */
export const serve: Command = {
  help: HELP,
  async run(parameters, { out, err, interrupted }) {
    const { values, positionals } = parseArgs({
      args: [...parameters],
      allowPositionals: true,
      options: {
        port: { type: 'string', short: 'p', default: DEFAULT_PORT },
        host: { type: 'string', default: DEFAULT_HOST },
        cert: { type: 'string' },
        key: { type: 'string' },
        quiet: { type: 'boolean', short: 'q', default: false },
      },
    });
    const [given = '.', extra] = positionals;
    if (extra !== undefined) throw new CommandError(EXIT.usage, `one folder at a time: what is ${extra}?`);
    const root = checkFolder(given);
    const handler = folderHandler(root);
    const server = createH3Server({
      hostname: values.host,
      port: integer(values.port, '--port', 0, 65_535),
      ...(values.cert !== undefined && { certPath: values.cert }),
      ...(values.key !== undefined && { keyPath: values.key }),
      fetch: values.quiet ? handler : logged(handler, out),
    });
    try {
      await out.write(greeting(server, root, values.cert === undefined));
      await untilInterrupted(interrupted);
      if (err.isTTY) await err.write('finishing what is under way; Ctrl-C again ends at once\n');
      await server.stop();
      return EXIT.ok;
    } finally {
      server.close();
    }
  },
};

type Handler = (request: Request, server: H3Server) => Promise<Response>;

/** Files, and pages of the folders that have no index. */
function folderHandler(root: string): Handler {
  return serveStatic(root, {
    async notFound(request) {
      const { pathname } = new URL(request.url);
      const page = await folderPage(root, pathname);
      if (page === null) return new Response('Not Found\n', { status: 404 });
      if (!pathname.endsWith('/')) {
        // Relative, so that it can lead to no other host.
        const location = `./${pathname.slice(pathname.lastIndexOf('/') + 1)}/`;
        return new Response(null, { status: 308, headers: { location } });
      }
      const headers = {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
      };
      return new Response(page, { headers });
    },
  });
}

function logged(handler: Handler, out: Sink): Handler {
  return async (request, server) => {
    const began = performance.now();
    const response = await handler(request, server);
    const { pathname } = new URL(request.url);
    const line = `${response.status} ${request.method} ${pathname} ${time(performance.now() - began)}\n`;
    // Nobody may be left to read it.
    out.write(line).catch(() => undefined);
    return response;
  };
}

function greeting(server: H3Server, root: string, isDevelopment: boolean): string {
  const { href, port } = server.url;
  const hash = Buffer.from(server.certificateHash);
  const lines = [`serving ${root} at ${href} (HTTP/3, UDP port ${port})`];
  if (isDevelopment) {
    const bytes = JSON.stringify([...hash]);
    lines.push(
      `development certificate, SHA-256 ${hash.toString('hex')}`,
      '',
      `  curl      curl --http3-only -k ${href}`,
      `  trilane   trilane get --pin ${hash.toString('hex')} ${href}`,
      `  browser   new WebTransport(url, { serverCertificateHashes: [{ algorithm: 'sha-256', value: new Uint8Array(${bytes}) }] })`,
      '            pages themselves need a certificate that the browser trusts: --cert and --key, and for Chromium',
      `            --origin-to-force-quic-on=${server.url.host}`,
    );
  } else {
    lines.push(
      '',
      `  curl      curl --http3-only ${href}`,
      `  Chromium  --origin-to-force-quic-on=${server.url.host}`,
    );
  }
  return `${lines.join('\n')}\n\n`;
}

function checkFolder(given: string): string {
  const path = resolve(given);
  try {
    if (statSync(path).isDirectory()) return path;
  } catch (error) {
    throw new CommandError(
      EXIT.read,
      `cannot serve ${given}: ${error instanceof Error ? error.message : error}`,
    );
  }
  throw new CommandError(EXIT.read, `cannot serve ${given}: it is no folder`);
}

function untilInterrupted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}
