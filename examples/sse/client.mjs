// Listens to server-sent events over HTTP/3, and comes back with Last-Event-ID when the connection breaks.
//
//   bun examples/sse/client.mjs [URL]
//
// In a browser this is `new EventSource('/readings')`. Here it is Bun's fetch, which speaks HTTP/3.

const url = new URL('/readings', process.argv[2] ?? 'https://localhost:4433/');
/** The development certificate is signed by nobody. */
const HTTP3 = { protocol: 'http3', tls: { rejectUnauthorized: false } };

let last = '';
let retryMs = 1000;

for (;;) {
  try {
    await listen();
    console.log('the stream ended');
  } catch (error) {
    console.log(`no stream: ${error.message}`);
  }
  await new Promise((resolve) => setTimeout(resolve, retryMs));
}

async function listen() {
  const headers = { accept: 'text/event-stream', ...(last !== '' && { 'last-event-id': last }) };
  const response = await fetch(url, { ...HTTP3, headers });
  if (!response.ok) throw new Error(`status ${response.status}`);
  for await (const { id, event, data, retry } of parsed(response.body)) {
    if (id !== undefined) last = id;
    if (retry !== undefined) retryMs = Number(retry);
    if (event === 'reading') console.log(`${id}: ${JSON.parse(data).celsius} °C`);
  }
}

/** The fields of each event; an event ends with an empty line. */
async function* parsed(body) {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const events = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = events.pop();
    for (const event of events)
      yield Object.fromEntries(event.split('\n').map((line) => line.split(/: (.*)/s)));
  }
}
