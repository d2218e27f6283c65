import { Plot } from './plot.js';

/** Time between two measurements, in milliseconds. */
const PING_MS = 100;
/** After this long a datagram counts as lost, in milliseconds. */
const LOST_MS = 1000;
const NAMES = ['Heron', 'Otter', 'Lynx', 'Wren', 'Marten', 'Newt', 'Swift', 'Badger', 'Finch', 'Hare'];

const find = (id) => document.getElementById(id);
const name = `${NAMES[Math.floor(Math.random() * NAMES.length)]} ${Math.floor(Math.random() * 90) + 10}`;
const plot = new Plot(find('plot'));

try {
  const session = await connect();
  show('open', `connected as ${name}`);
  session.closed.then(
    ({ closeCode, reason }) => show('over', `closed: ${reason || `code ${closeCode}`}`),
    () => show('over', 'the connection broke off'),
  );
  await Promise.all([chat(session), pingByStream(session), pingByDatagrams(session)]);
} catch (error) {
  if (find('state').dataset.state !== 'over') show('over', `no connection: ${error.message}`);
}

async function connect() {
  const { url, certificateHash } = await (await fetch('session.json')).json();
  const value = Uint8Array.from(atob(certificateHash), (char) => char.charCodeAt(0));
  const session = new WebTransport(url, { serverCertificateHashes: [{ algorithm: 'sha-256', value }] });
  await session.ready;
  return session;
}

/** What is said: lines of JSON on a stream, which arrive all and in order. */
async function chat(session) {
  const { readable, writable } = await session.createBidirectionalStream();
  const writer = writable.getWriter();
  const send = (message) => writer.write(encode(JSON.stringify(message)));
  await send({ join: name });
  find('say').addEventListener('submit', (event) => {
    event.preventDefault();
    send({ say: find('text').value }).catch(() => {});
    find('text').value = '';
  });
  find('lose').addEventListener('input', ({ target }) => {
    find('lose-value').value = `${target.value} %`;
    send({ lose: Number(target.value) }).catch(() => {});
  });
  for await (const line of lines(readable)) {
    const { people, from, text } = JSON.parse(line);
    if (people !== undefined) find('people').textContent = `${people.length} here: ${people.join(', ')}`;
    else addMessage(from, text);
  }
}

/** Measures a stream: a line goes out, and comes back. */
async function pingByStream(session) {
  const { readable, writable } = await session.createBidirectionalStream();
  const writer = writable.getWriter();
  await writer.write(encode('{"ping":true}'));
  repeat(session, () => writer.write(encode(String(performance.now()))));
  for await (const line of lines(readable))
    plot.add('streams', Number(line), performance.now() - Number(line));
}

/** Measures datagrams: each carries a number; what has not come back after a second is lost. */
async function pingByDatagrams(session) {
  const { datagrams } = session;
  const writer = (datagrams.writable ?? datagrams.createWritable()).getWriter();
  const sent = new Map();
  let next = 0;
  repeat(session, () => {
    const at = performance.now();
    const number = next++;
    sent.set(number, at);
    setTimeout(() => {
      if (sent.delete(number)) plot.add('datagrams', at, null);
    }, LOST_MS);
    return writer.write(new Uint8Array(new Uint32Array([number]).buffer));
  });
  const reader = datagrams.readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const [number] = new Uint32Array(value.slice().buffer);
    const at = sent.get(number);
    if (at === undefined) continue;
    sent.delete(number);
    plot.add('datagrams', at, performance.now() - at);
  }
}

/** Calls `send` ten times a second until the session is over. */
function repeat(session, send) {
  const timer = setInterval(() => {
    send().catch(() => {});
    summarise();
  }, PING_MS);
  session.closed.catch(() => {}).then(() => clearInterval(timer));
}

function summarise() {
  const datagrams = plot.summary('datagrams');
  const streams = plot.summary('streams');
  const time = ({ median }) => (median === undefined ? '–' : `${median.toFixed(1)} ms`);
  const all = datagrams.count + datagrams.lost;
  const lost = all === 0 ? '–' : `${datagrams.lost} of ${all}`;
  find('datagram-median').textContent = time(datagrams);
  find('stream-median').textContent = time(streams);
  find('lost').textContent = lost;
  find('plot').setAttribute(
    'aria-label',
    `Round-trip times. Median of datagrams ${time(datagrams)}, of the stream ${time(streams)}; datagrams lost: ${lost}.`,
  );
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

function encode(line) {
  return new TextEncoder().encode(`${line}\n`);
}

function addMessage(from, text) {
  const item = document.createElement('li');
  const author = document.createElement('b');
  author.textContent = from;
  item.append(author, text);
  item.classList.toggle('mine', from === name);
  find('messages').append(item);
  item.scrollIntoView({ block: 'nearest' });
}

function show(state, text) {
  find('state').dataset.state = state;
  find('state').textContent = text;
  find('say').querySelector('button').disabled = state === 'over';
}
