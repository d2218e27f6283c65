// Raw datagrams of Bun's own node:quic (lsquic): `bun bun-quic-client.js <url>`.

import process from 'node:process';
import { RAW_ALPN, runRawChecks } from './raw-checks.js';

/** What is used of the module, for which there are no types. */
interface Quic {
  connect(address: object, options: object): Promise<QuicSession>;
}

interface QuicSession {
  readonly opened: Promise<unknown>;
  readonly maxDatagramSize: number;
  sendDatagram(data: Uint8Array): Promise<bigint>;
  close(): Promise<void>;
}

const { connect } = (await import('node:quic' as string)) as Quic;
const { hostname, port } = new URL(process.argv[2] ?? '');

await runRawChecks(async () => {
  let arrived: (data: Uint8Array) => void = () => undefined;
  const incoming = new ReadableStream<Uint8Array>({
    start: (controller) => {
      arrived = (data) => controller.enqueue(data);
    },
  }).getReader();
  const session = await connect(
    { address: hostname, port: Number(port), family: 'ipv4' },
    {
      alpn: RAW_ALPN,
      servername: 'localhost',
      verifyPeer: 'manual',
      transportParams: { maxDatagramFrameSize: 1200 },
      ondatagram: (data: Uint8Array) => arrived(data),
    },
  );
  await session.opened;
  return {
    maxDatagramSize: session.maxDatagramSize,
    send: (data) => session.sendDatagram(data),
    receive: async () => (await incoming.read()).value ?? new Uint8Array(),
    close: () => session.close(),
  };
});
process.exit(0);
