// A Hono app over HTTP/3: `app.fetch` is the handler, nothing else is needed.
//
//   node examples/hono/server.mjs        PORT=4433 by default

import { Hono } from 'hono';
import { streamText } from 'hono/streaming';
import { createH3Server } from 'trilane';

const books = new Map([
  ['1', { id: '1', title: 'The Left Hand of Darkness' }],
  ['2', { id: '2', title: 'Kindred' }],
]);

const app = new Hono();

app.get('/', (c) => c.text('try /books, /books/1, /countdown or /whoami\n'));

app.get('/books', (c) => c.json([...books.values()]));

app.get('/books/:id', (c) => {
  const book = books.get(c.req.param('id'));
  return book === undefined ? c.json({ error: 'no such book' }, 404) : c.json(book);
});

app.post('/books', async (c) => {
  const { title } = await c.req.json().catch(() => ({}));
  if (typeof title !== 'string' || title === '') return c.json({ error: 'expected {"title": "…"}' }, 400);
  const book = { id: String(books.size + 1), title: title.slice(0, 200) };
  books.set(book.id, book);
  return c.json(book, 201, { location: `/books/${book.id}` });
});

// Each line goes out as it is written.
app.get('/countdown', (c) =>
  streamText(c, async (stream) => {
    for (let n = 3; n > 0 && !stream.aborted; n--) {
      await stream.writeln(`${n} …`);
      await stream.sleep(300);
    }
    await stream.writeln('done');
  }),
);

// The second argument of a handler is the server; Hono calls it `env`.
app.get('/whoami', (c) => c.json(c.env.requestIP(c.req.raw)));

const server = createH3Server({ port: Number(process.env.PORT ?? 4433), fetch: app.fetch });
console.log(`listening on ${server.url}`);

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

async function stop() {
  await server.stop();
  server.close();
}
