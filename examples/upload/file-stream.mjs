import { BadUpload } from './store.mjs';

/** Time between two lines of progress, in milliseconds. */
const PROGRESS_MS = 100;
/** Bytes of the first line. */
const MAX_HEAD = 1024;
const LINE_FEED = 0x0a;

/**
 * Takes one file from a stream of a session. The client sends a line, {"name": "…", "size": bytes}, and then the file; it
 * hears lines of {"received": bytes}, at last {"done": {name, bytes, sha256}} or {"error": "…"}.
 */
export async function receiveFile({ readable, writable }, store) {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  const say = (message) => writer.write(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
  try {
    const { name, size, rest } = await head(reader);
    let told = 0;
    const done = await store.save(name, exactly(size, rest), (received) => {
      const now = performance.now();
      if (now - told < PROGRESS_MS) return;
      told = now;
      say({ received }).catch(() => {});
    });
    await say({ done });
    await writer.close();
  } catch (error) {
    // A session or stream that ended tells of itself; a mistake of the client it is told.
    const message = error instanceof BadUpload ? error.message : 'the file was not stored';
    await say({ error: message })
      .then(() => writer.close())
      .catch(() => {});
  } finally {
    reader.cancel().catch(() => {}); // the client need not send the rest of a file that is refused
  }
}

/** The first line, and the chunks behind it. */
async function head(reader) {
  let line = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new BadUpload(400, 'the stream has no first line');
    const end = value.indexOf(LINE_FEED);
    line = joined(line, end === -1 ? value : value.subarray(0, end));
    if (line.length > MAX_HEAD) throw new BadUpload(400, 'the first line is too long');
    if (end === -1) continue;
    const { name, size } = parsed(new TextDecoder().decode(line));
    if (typeof name !== 'string' || !Number.isSafeInteger(size) || size < 0) {
      throw new BadUpload(400, 'expected {"name": "…", "size": bytes}');
    }
    return { name, size, rest: chunks(value.subarray(end + 1), reader) };
  }
}

async function* chunks(first, reader) {
  if (first.length > 0) yield first;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** As many bytes as were announced, whatever comes behind them. A stream that ends early is no whole file. */
async function* exactly(size, chunks) {
  let missing = size;
  while (missing > 0) {
    const { done, value } = await chunks.next();
    if (done) throw new BadUpload(400, `${missing} bytes of the file did not come`);
    const chunk = value.subarray(0, missing);
    missing -= chunk.byteLength;
    yield chunk;
  }
}

function parsed(line) {
  try {
    return Object(JSON.parse(line));
  } catch {
    return {};
  }
}

function joined(one, other) {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
