// bench/results.svg: the most telling rows as bars, for light and dark pages.
import { format } from './table.mjs';

const WIDTH = 880;
const COLUMNS = 2;
const GAP = 28;
const PANEL = (WIDTH - GAP * (COLUMNS + 1)) / COLUMNS;
const NAMES = 118;
const VALUES = 76;
const BAR = 15;
const STEP = 21;
const HEAD = 44;
const TOP = 64;

/** The short names of peers. */
const NAME = {
  quinn: 'bare quinn',
  core: 'core, no JS',
  'node20-lazy': 'trilane Node 20',
  'node26-lazy': 'trilane Node 26',
  'bun-lazy': 'trilane Bun',
  'deno-lazy': 'trilane Deno',
  'bun-http3': "Bun's own",
  'quic-go': 'quic-go',
  currentspace: '@currentspace',
  caddy: 'Caddy + Node',
  'deno-own-quic': "Deno's own",
  'webtransport-go': 'webtransport-go',
  'node26-client': 'trilane Node 26',
  'bun-client': 'trilane Bun',
  'bun-fetch': "Bun's fetch",
  'currentspace-client': '@currentspace',
  'undici-h1': 'undici HTTP/1.1',
  'undici-h2': 'undici HTTP/2',
};

const OUR_CLIENTS = new Set(['node26-client', 'bun-client']);

/** What is shown: a figure of one load of a part, peers in the order of their values. */
const PANELS = [
  {
    part: 'hello',
    load: '8x16',
    figure: 'perSecond',
    title: 'Small GET',
    unit: 'requests/s, more is better',
  },
  {
    part: 'hello',
    load: '8x16',
    figure: 'cpuMicros',
    title: 'Small GET',
    unit: 'CPU µs a request, less is better',
  },
  {
    part: 'post',
    load: '8x16',
    figure: 'perSecond',
    title: 'JSON echo, 1 KB',
    unit: 'requests/s, more is better',
  },
  {
    part: 'latency',
    load: '1x1',
    figure: 'p50',
    title: 'One request at a time',
    unit: 'p50 µs, less is better',
  },
  { part: 'bulk', load: 'file', figure: 'rate', title: 'Download of a file', unit: 'MB/s, more is better' },
  {
    part: 'bulk',
    load: 'upload',
    figure: 'rate',
    title: 'Upload into a handler',
    unit: 'MB/s, more is better',
  },
  {
    part: 'echo',
    load: 'webtransport-1200',
    figure: 'perSecond',
    title: 'WebTransport datagrams',
    unit: 'echoes of 1,200 bytes/s, more is better',
  },
  {
    part: 'client',
    load: '64',
    figure: 'cpuMicros',
    title: 'Clients: small GET',
    unit: 'CPU µs a request, less is better',
  },
  {
    part: 'start',
    load: 'cold',
    figure: 'first',
    title: 'Cold start',
    unit: 'ms to the first answer, less is better',
  },
];

const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px } .head { font-weight: 600; font-size: 18px } .unit, .note { fill: #59636e }
.ours { fill: #0969da } .core { fill: #54aeff } .other { fill: #b6bec8 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .unit, .note { fill: #9198a1 } .ours { fill: #2f81f7 } .core { fill: #1f4f8f } .other { fill: #4a525c }
}`;

/** The picture of a run; panels without a row are left out. */
export function picture({ rows, settings }) {
  const panels = PANELS.map((panel) => ({ ...panel, bars: barsOf(panel, rows) })).filter(
    ({ bars }) => bars.length > 0,
  );
  const lines = [];
  for (let index = 0; index < panels.length; index += COLUMNS)
    lines.push(panels.slice(index, index + COLUMNS));
  let y = TOP;
  const drawn = lines.flatMap((line) => {
    const row = line.map((panel, column) => draw(panel, GAP + column * (PANEL + GAP), y));
    y += HEAD + Math.max(...line.map(({ bars }) => bars.length)) * STEP + GAP;
    return row;
  });
  const note = `medians of up to ${settings.rounds} rounds, server and load on a core each, one machine`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="trilane beside other HTTP/3 servers">
<style>${STYLE}
</style>
<text class="head" x="${GAP}" y="30">trilane beside other HTTP/3 servers</text>
<text class="note" x="${GAP}" y="48">${escaped(note)}</text>
${drawn.join('\n')}
</svg>
`;
}

function barsOf({ part, load, figure, unit }, rows) {
  const bars = Object.entries(NAME).flatMap(([peer, name]) => {
    const value = rows.find(part, load, peer)?.median(figure);
    return value === undefined ? [] : [{ name, value, kind: kindOf(peer) }];
  });
  const direction = unit.endsWith('less is better') ? 1 : -1;
  return bars.sort((a, b) => direction * (a.value - b.value));
}

function kindOf(peer) {
  if (peer.endsWith('-lazy') || OUR_CLIENTS.has(peer)) return 'ours';
  return peer === 'core' ? 'core' : 'other';
}

function draw({ title, unit, figure, bars }, x, y) {
  // One that is far above all others would leave them without a length.
  const values = bars.map(({ value }) => value).sort((a, b) => b - a);
  const longest = Math.min(values[0], 4 * (values[Math.floor(values.length / 2)] ?? values[0]));
  const room = PANEL - NAMES - VALUES;
  const digits = figure === 'cpuMicros' ? 1 : 0;
  const lines = bars.map(({ name, value, kind }, index) => {
    const top = y + HEAD + index * STEP;
    const isCut = value > longest;
    const width = Math.max(1, (room * Math.min(value, longest)) / longest);
    const shown = `${format(value, digits)}${isCut ? ' →' : ''}`;
    return `<text x="${x + NAMES - 8}" y="${top + 12}" text-anchor="end">${escaped(name)}</text><rect class="${kind}" x="${x + NAMES}" y="${top}" width="${width.toFixed(1)}" height="${BAR}" rx="2"/><text x="${(x + NAMES + width + 6).toFixed(1)}" y="${top + 12}">${shown}</text>`;
  });
  return `<text class="title" x="${x}" y="${y + 16}">${escaped(title)}</text><text class="unit" x="${x}" y="${y + 33}">${escaped(unit)}</text>
${lines.join('\n')}`;
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
