import { Buffer } from 'node:buffer';
import { connectQuic } from 'trilane';

/**
 * Opens a QUIC connection that agrees on `alpn`, to the server whose certificate has the SHA-256 `hash` (hexadecimal). The
 * QUIC is that of the runtime where it has one, Bun's node:quic or Deno's QuicEndpoint, and else that of this package. Any
 * other with datagrams (RFC 9221) would do.
 */
export async function connect(url, hash, alpn) {
  const { hostname, port } = new URL(url);
  if (globalThis.Bun !== undefined) return connectWithBun(hostname, Number(port), alpn);
  if (globalThis.Deno?.connectQuic !== undefined) return connectWithDeno(hostname, Number(port), hash, alpn);
  return connectQuic(url, { alpn, serverCertificateHashes: [Uint8Array.from(Buffer.from(hash, 'hex'))] });
}

async function connectWithBun(address, port, alpn) {
  const quic = await import('node:quic');
  const session = await quic.connect(
    { address, port, family: 'ipv4' },
    {
      alpn,
      servername: 'localhost',
      verifyPeer: 'manual', // takes every certificate: for development only
      transportParams: { maxDatagramFrameSize: 1200 },
    },
  );
  await session.opened;
  return {
    maxDatagramSize: session.maxDatagramSize,
    send: (bytes) => session.sendDatagram(bytes).catch(() => {}),
    close: () => session.close(),
  };
}

async function connectWithDeno(hostname, port, hash, alpn) {
  const value = Uint8Array.from(hash.match(/../g), (byte) => Number.parseInt(byte, 16));
  const connection = await globalThis.Deno.connectQuic({
    hostname,
    port,
    alpnProtocols: [alpn],
    serverCertificateHashes: [{ algorithm: 'sha-256', value }],
  });
  return {
    maxDatagramSize: connection.maxDatagramSize,
    send: (bytes) => connection.sendDatagram(bytes).catch(() => {}),
    async close() {
      connection.close({ closeCode: 0, reason: 'done' });
      await connection.closed.catch(() => {});
    },
  };
}
