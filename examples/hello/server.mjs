// The smallest server worth having: two routes, a fallback, a clean stop.
//
//   node examples/hello/server.mjs        PORT=4433 by default; PORT=0 takes any free port

import { createH3Server } from 'trilane';

const server = createH3Server({
  port: Number(process.env.PORT ?? 4433),
  routes: [
    { method: 'GET', pattern: '/', fetch: () => new Response('hello over HTTP/3\n') },
    { method: 'GET', pattern: '/hello/:name', fetch: ({ params }) => Response.json({ hello: params.name }) },
  ],
  fetch: () => new Response('there is nothing here\n', { status: 404 }),
});
console.log(`listening on ${server.url}`);

process.once('SIGINT', async () => {
  await server.stop(); // requests under way finish first
  server.close();
});
