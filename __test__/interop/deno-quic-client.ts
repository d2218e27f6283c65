// Raw datagrams of Deno's own QUIC (quinn): `deno run --unstable-net deno-quic-client.js <url> <SHA-256 of the certificate>`.

import { Buffer } from 'node:buffer';
import process from 'node:process';
import { RAW_ALPN, runRawChecks } from './raw-checks.js';

/** What is used of Deno, for which there are no types here. */
interface Deno {
  connectQuic(options: object): Promise<{
    readonly maxDatagramSize: number;
    sendDatagram(data: Uint8Array): Promise<void>;
    readDatagram(): Promise<Uint8Array>;
    close(): void;
  }>;
}

const { Deno: deno } = globalThis as unknown as { Deno: Deno };
const [base = '', hash = ''] = process.argv.slice(2);
const { hostname, port } = new URL(base);

await runRawChecks(async () => {
  const connection = await deno.connectQuic({
    hostname,
    port: Number(port),
    alpnProtocols: [RAW_ALPN],
    serverCertificateHashes: [{ algorithm: 'sha-256', value: Buffer.from(hash, 'hex') }],
  });
  return {
    maxDatagramSize: connection.maxDatagramSize,
    send: (data) => connection.sendDatagram(data),
    receive: () => connection.readDatagram(),
    close: async () => connection.close(),
  };
});
process.exit(0);
