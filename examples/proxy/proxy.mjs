import { Agent, request as httpRequest } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Response } from 'trilane';

/** How long the upstream may take to begin its answer, in milliseconds. */
const ANSWER_MS = 30_000;
/** Of one connection only, not of the message (RFC 9110 §7.6.1), beside those that `connection` names. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];
const WITHOUT_BODY = new Set([204, 205, 304]);

/** A handler that passes requests on to `upstream`, a URL of http:, a server of HTTP/1.1; needs mode "streaming". */
export function proxyTo(upstream) {
  if (upstream.protocol !== 'http:') throw new TypeError(`expected an upstream of http:, not ${upstream}`);
  const agent = new Agent({ keepAlive: true });
  const hostname = upstream.hostname.replace(/^\[|\]$/g, ''); // of an IPv6 address
  return (request, server) =>
    new Promise((resolve) => {
      // Whoever asks for a tunnel means another place than this upstream.
      if (request.method === 'CONNECT') return resolve(new Response('No tunnels here\n', { status: 501 }));
      const { pathname, search } = new URL(request.url);
      const outgoing = httpRequest({
        agent,
        hostname,
        port: upstream.port,
        method: request.method,
        path: pathname + search,
        headers: requestFields(request, server, upstream),
      });
      const late = setTimeout(() => outgoing.destroy(new Error('it takes too long')), ANSWER_MS);

      // The client goes away: so does the request behind. The other way round, a body that breaks off resets the stream.
      const abort = () => outgoing.destroy(new Error('the client is gone'));
      request.signal.addEventListener('abort', abort);
      outgoing.on('close', () => request.signal.removeEventListener('abort', abort));

      outgoing.on('information', ({ statusCode, headers }) => {
        if (statusCode > 101) server.informational(request, statusCode, endToEnd(headers));
      });
      outgoing.on('response', (incoming) => {
        clearTimeout(late);
        const { statusCode: status, headersDistinct } = incoming;
        const hasBody = request.method !== 'HEAD' && !WITHOUT_BODY.has(status);
        if (!hasBody) incoming.resume();
        resolve(new Response(hasBody ? incoming : null, { status, headers: endToEnd(headersDistinct) }));
      });
      outgoing.on('error', (error) => {
        clearTimeout(late);
        if (!request.signal.aborted) console.error(`${request.method} ${pathname}: ${error.message}`);
        resolve(new Response('Bad Gateway\n', { status: 502 })); // no effect once there is an answer
      });

      // Full duplex: the answer may begin, and end, while the body is still on its way.
      if (request.body === null) outgoing.end();
      else pipeline(request.body, outgoing).catch((error) => outgoing.destroy(error));
    });
}

/** What goes to the upstream: the fields of the client, but for those of its connection, and who it is. */
function requestFields(request, server, upstream) {
  const fields = Object.fromEntries(endToEnd(Object.fromEntries(request.headers)));
  // Not what a client claims: this is the first proxy. Behind another one, its list would be kept and added to.
  fields['x-forwarded-for'] = server.requestIP(request)?.address ?? 'unknown';
  fields['x-forwarded-host'] = new URL(request.url).host;
  fields['x-forwarded-proto'] = 'https';
  fields.via = [fields.via, '3 trilane'].filter(Boolean).join(', '); // RFC 9110 §7.6.3
  fields.host = upstream.host;
  delete fields.expect; // answered here
  return fields;
}

/** The fields of a message without those of a connection, as pairs: one field may come several times. */
function endToEnd(fields) {
  const named = [fields.connection ?? []].flat().join().toLowerCase().split(',');
  const dropped = new Set([...HOP_BY_HOP, ...named.map((name) => name.trim())]);
  return Object.entries(fields).flatMap(([name, value]) =>
    dropped.has(name) ? [] : [value].flat().map((one) => [name, one]),
  );
}
