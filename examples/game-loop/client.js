import { Arena } from './arena.js';
import { decodeSnapshot, encodeInput, KEYS, TICKS_PER_SECOND } from './protocol.js';

const BY_CODE = {
  ArrowUp: KEYS.up,
  KeyW: KEYS.up,
  ArrowDown: KEYS.down,
  KeyS: KEYS.down,
  ArrowLeft: KEYS.left,
  KeyA: KEYS.left,
  ArrowRight: KEYS.right,
  KeyD: KEYS.right,
};
/** Nearer to the pointer than this, in units of the world, there is nowhere to go. */
const THERE = 12;

const find = (id) => document.getElementById(id);
const arena = new Arena(find('arena'));
/** When each input was sent, by its number. */
const sentAt = new Map();
const since = { at: performance.now(), snapshots: 0 };
let held = 0;
let pointer = null;
let number = 0;
let missed = 0;
let roundTrip = null;

listenToKeys();
listenToPointer();

try {
  const session = await connect();
  show('open', 'connected');
  session.closed.then(
    ({ reason }) => show('over', `closed: ${reason || 'the session is over'}`),
    () => show('over', 'the connection broke off'),
  );
  sendKeys(session);
  await takeSnapshots(session);
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

/** All keys that are held, 30 times a second: if a datagram is lost, the next one says the same. */
function sendKeys({ datagrams, closed }) {
  const writer = (datagrams.writable ?? datagrams.createWritable()).getWriter();
  const timer = setInterval(() => {
    number += 1;
    sentAt.set(number, performance.now());
    writer.write(encodeInput({ number, keys: held | pointerKeys() })).catch(() => {});
  }, 1000 / TICKS_PER_SECOND);
  closed.catch(() => {}).then(() => clearInterval(timer));
}

async function takeSnapshots({ datagrams }) {
  const reader = datagrams.readable.getReader();
  let newest = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const snapshot = decodeSnapshot(value);
    // Datagrams may overtake one another: the newest wins.
    if (snapshot.tick <= newest) continue;
    if (newest > 0) missed += snapshot.tick - newest - 1;
    newest = snapshot.tick;
    arena.show(snapshot);
    measure(snapshot);
  }
}

function measure({ lastInput, players, you }) {
  const sent = sentAt.get(lastInput);
  if (sent !== undefined) {
    const ms = performance.now() - sent;
    roundTrip = roundTrip === null ? ms : roundTrip * 0.9 + ms * 0.1;
  }
  for (const known of sentAt.keys()) {
    if (known > lastInput) break;
    sentAt.delete(known);
  }
  since.snapshots += 1;
  const now = performance.now();
  if (now - since.at < 1000) return;
  find('rate').textContent = ((since.snapshots * 1000) / (now - since.at)).toFixed(0);
  find('missed').textContent = String(missed);
  find('round-trip').textContent = roundTrip === null ? '–' : `${roundTrip.toFixed(0)} ms`;
  since.at = now;
  since.snapshots = 0;
  showScores(players, you);
}

function showScores(players, you) {
  const best = [...players].sort(([, one], [, other]) => other.score - one.score).slice(0, 8);
  find('scores').replaceChildren(
    ...best.map(([id, { score }]) => {
      const item = document.createElement('li');
      const dot = document.createElement('i');
      dot.style.background = arena.colorOf(id);
      item.append(dot, id === you ? 'you' : `player ${id}`, ` ${score}`);
      return item;
    }),
  );
}

function listenToKeys() {
  addEventListener('keydown', (event) => {
    const key = BY_CODE[event.code];
    if (key === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    held |= key;
  });
  addEventListener('keyup', ({ code }) => {
    held &= ~(BY_CODE[code] ?? 0);
  });
  addEventListener('blur', () => {
    held = 0;
  });
}

function listenToPointer() {
  const canvas = find('arena');
  const follow = (event) => {
    if (event.buttons !== 0) pointer = arena.worldOf(event);
  };
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    follow(event);
  });
  canvas.addEventListener('pointermove', follow);
  for (const end of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(end, () => {
      pointer = null;
    });
  }
}

/** The keys that lead to where the pointer is pressed. */
function pointerKeys() {
  const me = arena.me;
  if (pointer === null || me === undefined) return 0;
  let keys = 0;
  if (pointer.x < me.x - THERE) keys |= KEYS.left;
  if (pointer.x > me.x + THERE) keys |= KEYS.right;
  if (pointer.y < me.y - THERE) keys |= KEYS.up;
  if (pointer.y > me.y + THERE) keys |= KEYS.down;
  return keys;
}

function show(state, text) {
  find('state').dataset.state = state;
  find('state').textContent = text;
}
