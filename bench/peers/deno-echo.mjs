// Deno's own QUIC and WebTransport sending back what comes: `deno run --unstable-net deno-echo.mjs DIR`, DIR with cert.pem and
// key.pem. Raw datagrams (ALPN `echo`), and datagrams and streams of WebTransport sessions. Prints {"port":N}; ends at SIGTERM.

const { Deno } = globalThis;
const [directory] = Deno.args;
const read = (name) => Deno.readTextFileSync(`${directory}/${name}`);
const endpoint = new Deno.QuicEndpoint({ hostname: '127.0.0.1', port: 0 });
const listener = endpoint.listen({
  cert: read('cert.pem'),
  key: read('key.pem'),
  alpnProtocols: ['h3', 'echo'],
});
console.log(JSON.stringify({ port: endpoint.addr.port }));

async function raw(connection) {
  for (;;) await connection.sendDatagram(await connection.readDatagram());
}

async function session(connection) {
  const transport = await Deno.upgradeWebTransport(connection);
  await transport.ready;
  datagrams(transport).catch(() => {});
  for await (const { readable, writable } of transport.incomingBidirectionalStreams) {
    readable.pipeTo(writable).catch(() => {});
  }
}

async function datagrams(transport) {
  const writer = transport.datagrams.writable.getWriter();
  for await (const datagram of transport.datagrams.readable) await writer.write(datagram);
}

for (;;) {
  const connection = await listener.accept();
  const serve = connection.protocol === 'echo' ? raw : session;
  serve(connection).catch(() => {});
}
