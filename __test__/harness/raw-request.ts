import type { Connection } from './connection.js';
import type { RawStream } from './raw-stream.js';

/**
 * Sends a GET on a stream of bare QUIC, whose ends a spec then has in its hand: h3-quinn cannot stop a stream while it
 * waits for more of it.
 */
export async function rawGet(connection: Connection, url: URL, path = '/'): Promise<RawStream> {
  const stream = await connection.openStream();
  await stream.write({ headers: getHeaders(url, path), fin: true });
  return stream;
}

/** The fields of a GET (RFC 9114 §4.3.1). */
export function getHeaders(url: URL, path = '/'): [name: string, value: string][] {
  return [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', url.host],
    [':path', path],
  ];
}
