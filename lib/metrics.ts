import type { NativeDurations } from '../binding.cjs';
import type { H3ServerStats } from './server.js';

type Value = bigint | number;
type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: Value];

/** A family of samples with one value, or several that labels tell apart. */
interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  of(stats: H3ServerStats): Value | readonly Sample[];
}

const counter = (name: string, help: string, of: Family['of']): Family => ({
  name,
  type: 'counter',
  help,
  of,
});
const gauge = (name: string, help: string, of: Family['of']): Family => ({ name, type: 'gauge', help, of });

/**
 * Names are those of OpenTelemetry's semantic conventions for HTTP servers where there is one, else made in their manner;
 * counters end in `_total`, and units are seconds and bytes, as Prometheus asks.
 */
const FAMILIES: readonly Family[] = [
  counter('http_server_requests_total', 'Requests whose header section was accepted.', (s) => s.requests),
  gauge(
    'http_server_active_requests',
    'Requests that wait for an answer, or whose answer is being sent.',
    (s) => s.requestsActive,
  ),
  counter(
    'http_server_requests_aborted_total',
    'Requests that ended without a whole answer.',
    (s) => s.requestsAborted,
  ),
  counter(
    'http_server_requests_malformed_total',
    'Requests refused as malformed (RFC 9114 section 4.1.2).',
    (s) => s.requestsMalformed,
  ),
  counter(
    'http_server_handler_errors_total',
    'Handlers that threw, rejected, or gave what cannot be sent.',
    (s) => s.handlerErrors,
  ),
  counter(
    'http_server_request_body_bytes_total',
    'Bytes of request bodies that were read.',
    (s) => s.bodyBytesReceived,
  ),
  counter(
    'http_server_response_body_bytes_total',
    'Bytes of bodies of answers that were sent.',
    (s) => s.bodyBytesSent,
  ),
  counter(
    'quic_server_connections_total',
    'Connections whose handshake was completed.',
    (s) => s.connectionsTotal,
  ),
  gauge('quic_server_active_connections', 'Connections that are open.', (s) => s.connectionsActive),
  counter(
    'quic_server_connections_refused_total',
    'Connection attempts refused by a limit.',
    (s) => s.connectionsRefused,
  ),
  counter(
    'quic_server_handshakes_failed_total',
    'Handshakes that failed or timed out.',
    (s) => s.handshakesFailed,
  ),
  counter(
    'quic_server_retries_total',
    'Retry packets: clients asked to prove their address.',
    (s) => s.retriesSent,
  ),
  counter(
    'quic_server_protocol_errors_total',
    'Connections closed because the client broke the protocol.',
    (s) => s.protocolErrors,
  ),
  counter(
    'quic_server_excessive_load_total',
    'Connections closed because the client did too much that is no progress.',
    (s) => s.excessiveLoad,
  ),
  counter('quic_server_datagrams_received_total', 'Datagrams handed to a handler.', (s) =>
    byLayer(s, 'received'),
  ),
  counter('quic_server_datagrams_sent_total', 'Datagrams given to QUIC.', (s) => byLayer(s, 'sent')),
  counter('quic_server_datagrams_dropped_total', 'Datagrams dropped, coming in or going out.', (s) => [
    ...byLayer(s, 'droppedIncoming', { direction: 'incoming' }),
    ...byLayer(s, 'droppedOutgoing', { direction: 'outgoing' }),
  ]),
  counter(
    'webtransport_server_sessions_total',
    'Sessions that were accepted.',
    (s) => s.webtransportSessionsTotal,
  ),
  gauge(
    'webtransport_server_active_sessions',
    'Sessions that are open.',
    (s) => s.webtransportSessionsActive,
  ),
  counter(
    'webtransport_server_streams_total',
    'Streams opened in sessions, by either side.',
    (s) => s.webtransportStreams,
  ),
  gauge('http_server_uptime_seconds', 'Time since the server was made.', (s) => s.uptimeMs / 1000),
];

const DURATION = 'http_server_request_duration_seconds';
const LAYERS = { quic: 'quicDatagrams', h3: 'h3Datagrams', webtransport: 'webtransportDatagrams' } as const;

/** What a server counts, as text for Prometheus (exposition format 0.0.4). */
export function metricsText(stats: H3ServerStats, durations: readonly NativeDurations[]): string {
  const families = FAMILIES.map(({ name, type, help, of }) => {
    const given = of(stats);
    const samples: readonly Sample[] = typeof given === 'object' ? given : [[{}, given]];
    return `${head(name, type, help)}${samples.map(([labels, value]) => line(name, labels, value)).join('')}`;
  });
  return families.join('') + histogram(durations);
}

function histogram(durations: readonly NativeDurations[]): string {
  if (durations.length === 0) return '';
  const series = durations.map(({ route, method, statusClass, bounds, counts, count, sumSeconds }) => {
    const labels = {
      http_route: route ?? '',
      http_request_method: method === '' ? '_OTHER' : method,
      http_response_status_class: statusClass === undefined || statusClass === null ? '' : `${statusClass}xx`,
    };
    const bucket = (le: string, value: Value): string => line(`${DURATION}_bucket`, { ...labels, le }, value);
    return [
      ...bounds.map((bound, index) => bucket(`${bound}`, counts[index] ?? 0)),
      bucket('+Inf', count),
      line(`${DURATION}_sum`, labels, sumSeconds),
      line(`${DURATION}_count`, labels, count),
    ].join('');
  });
  const help = 'From the first byte of a request to its end, by route, method and class of status.';
  return head(DURATION, 'histogram', help) + series.join('');
}

function byLayer(
  stats: H3ServerStats,
  what: keyof H3ServerStats['quicDatagrams'],
  more: Labels = {},
): readonly Sample[] {
  return Object.entries(LAYERS).map(([layer, key]) => [{ layer, ...more }, stats[key][what]]);
}

function head(name: string, type: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

function line(name: string, labels: Labels, value: Value): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`;
}

/** The three characters that a label value may not have as they are. */
function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
