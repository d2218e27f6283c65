import { once } from 'node:events';
import { createServer } from 'node:http';

/** A server of HTTP/1.1 to try the proxy with: it says what it was asked, and sends every body back as it comes. */
export async function startOrigin() {
  const server = createServer((request, response) => {
    if (request.method === 'GET') {
      response.setHeader('content-type', 'application/json');
      response.end(
        `${JSON.stringify({ method: request.method, url: request.url, headers: request.headers }, null, 2)}\n`,
      );
    } else {
      request.pipe(response);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
