// trilane sending back what comes, on any runtime: raw datagrams (ALPN `echo`), HTTP datagrams of POST /datagrams, datagrams
// and streams of WebTransport sessions on /echo. Prints {"port":N}; ends at SIGTERM.
import process from 'node:process';

import { createH3Server } from '../../dist/index.js';

async function echoDatagrams(session) {
  for await (const datagram of session.datagrams.readable) session.sendDatagram(datagram);
}

async function echoStreams(session) {
  for await (const { readable, writable } of session.incomingBidirectionalStreams) {
    readable.pipeTo(writable).catch(() => {});
  }
}

const server = createH3Server({
  port: 0,
  quicAlpn: ['echo'],
  quicDatagram: (payload, context) => context.sendReply(payload),
  routes: [
    {
      method: 'POST',
      pattern: '/datagrams',
      h3Datagram: (payload, context) => context.sendReply(payload),
    },
    {
      method: 'CONNECT',
      pattern: '/echo',
      webtransport: (session) => {
        echoDatagrams(session).catch(() => {});
        echoStreams(session).catch(() => {});
      },
    },
  ],
});
console.log(JSON.stringify({ port: server.port }));
process.on('SIGTERM', () => process.exit(0));
