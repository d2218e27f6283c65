const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

const find = (id) => document.getElementById(id);

try {
  const session = await connect();
  show('open', 'connected');
  find('choose').disabled = false;
  session.closed.then(
    () => show('over', 'the server has gone'),
    () => show('over', 'the connection broke off'),
  );
  find('choose').addEventListener('change', ({ target }) => {
    for (const file of target.files) void upload(session, file);
    target.value = '';
  });
  acceptDrops(session);
} catch (error) {
  show('over', `no connection: ${error.message}`);
}

async function connect() {
  const { url, certificateHash } = await (await fetch('session.json')).json();
  const value = Uint8Array.from(atob(certificateHash), (char) => char.charCodeAt(0));
  const session = new WebTransport(url, { serverCertificateHashes: [{ algorithm: 'sha-256', value }] });
  await session.ready;
  return session;
}

/** Sends a file on a stream of its own; several share the connection, and none waits for another. */
async function upload(session, file) {
  const row = new Row(file);
  try {
    const { readable, writable } = await session.createBidirectionalStream();
    const sent = send(writable, file);
    // What the server says decides; that it stops reading shows there too.
    sent.catch(() => {});
    for await (const line of lines(readable)) {
      const { received, done, error } = JSON.parse(line);
      if (received !== undefined) row.progress(received);
      else if (done !== undefined) row.done(done);
      else row.fail(error);
    }
    await sent;
    row.end();
  } catch {
    row.fail('it broke off');
  }
}

async function send(writable, file) {
  const writer = writable.getWriter();
  await writer.write(new TextEncoder().encode(`${JSON.stringify({ name: file.name, size: file.size })}\n`));
  writer.releaseLock();
  await file.stream().pipeTo(writable); // as fast as the server takes it
}

async function* lines(readable) {
  const reader = readable.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ''; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n');
    rest = parts.pop();
    yield* parts;
  }
}

/** One file on the page. */
class Row {
  #item = find('file').content.cloneNode(true).firstElementChild;
  #size;
  #started = performance.now();
  #over = false;

  constructor({ name, size }) {
    this.#size = size;
    this.#part('name').textContent = name;
    this.progress(0);
    find('files').prepend(this.#item);
  }

  progress(bytes) {
    const seconds = (performance.now() - this.#started) / 1000;
    this.#item.querySelector('progress').value = this.#size === 0 ? 1 : bytes / this.#size;
    this.#part('amount').textContent = `${amount(bytes)} of ${amount(this.#size)} stored`;
    if (bytes > 0) this.#part('rate').textContent = `${amount(bytes / seconds)}/s`;
  }

  done({ bytes, sha256 }) {
    this.progress(bytes);
    this.#over = true;
    this.#item.dataset.state = 'done';
    this.#part('amount').textContent = `${amount(bytes)} stored`;
    this.#part('sum').textContent = `sha-256 ${sha256.slice(0, 16)}…`;
  }

  fail(why) {
    if (this.#over) return;
    this.#over = true;
    this.#item.dataset.state = 'failed';
    this.#part('amount').textContent = `not stored: ${why}`;
  }

  /** The server said no more. */
  end() {
    this.fail('it broke off');
  }

  #part(name) {
    return this.#item.querySelector(`.${name}`);
  }
}

function acceptDrops(session) {
  const area = find('drop');
  area.addEventListener('dragover', (event) => {
    event.preventDefault();
    area.classList.add('over');
  });
  area.addEventListener('dragleave', () => area.classList.remove('over'));
  area.addEventListener('drop', (event) => {
    event.preventDefault();
    area.classList.remove('over');
    for (const file of event.dataTransfer.files) void upload(session, file);
  });
}

function amount(bytes) {
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

function show(state, text) {
  find('state').dataset.state = state;
  find('state').textContent = text;
  if (state === 'over') find('choose').disabled = true;
}
