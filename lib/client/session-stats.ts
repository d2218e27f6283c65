import type { NativeConnection } from '../../binding.cjs';
import type { OpenSession } from '../open-session.js';

/** Numbers of a session's datagrams. Those that nobody counts are absent. */
export interface WebTransportDatagramStats {
  /** Those that nobody read before they had to make room. */
  readonly droppedIncoming: number;
  /** Those that nobody read before they were too old. */
  readonly expiredIncoming: number;
  /** Those that were too old before the path took them. */
  readonly expiredOutgoing: number;
}

/** Numbers of a session's connection (W3C WebTransport §6.12). Those that QUIC does not tell are absent, and of a connection that may be shared those that are not marked as pooled. */
export interface WebTransportConnectionStats {
  /** Bytes of UDP payload. */
  readonly bytesSent?: number;
  /** Bytes received in UDP payloads. */
  readonly bytesReceived?: number;
  /** Bytes of packets that were lost. */
  readonly bytesLost?: number;
  /** Packets sent. */
  readonly packetsSent?: number;
  /** UDP payloads received: a packet each, but for some of the handshake. */
  readonly packetsReceived?: number;
  /** Packets sent that were lost. */
  readonly packetsLost?: number;
  /** Estimated round-trip time, in milliseconds. Pooled. */
  readonly smoothedRtt?: number;
  /** What became of datagrams. */
  readonly datagrams: WebTransportDatagramStats;
  /** A congestion window for each round trip, in bits per second; null: not known yet. Pooled. */
  readonly estimatedSendRate: number | null;
  /** Whether that rate is known to be the path's, not the program's: never. Pooled. */
  readonly atSendCapacity: boolean;
}

/** Numbers of a session; `numbers`: of its connection, if there was one. */
export function sessionStats(
  session: OpenSession,
  numbers: NativeConnection | null,
  isPooled: boolean,
): WebTransportConnectionStats {
  const { dropped, expired } = session.datagrams;
  return {
    ...(numbers !== null && { smoothedRtt: numbers.roundTripMs }),
    ...(numbers !== null &&
      !isPooled && {
        bytesSent: Number(numbers.bytesSent),
        bytesReceived: Number(numbers.bytesReceived),
        bytesLost: Number(numbers.lostBytes),
        packetsSent: Number(numbers.sentPackets),
        packetsReceived: Number(numbers.receivedPackets),
        packetsLost: Number(numbers.lostPackets),
      }),
    datagrams: {
      droppedIncoming: dropped,
      expiredIncoming: expired,
      expiredOutgoing: session.expiredOutgoing,
    },
    estimatedSendRate: sendRate(numbers),
    atSendCapacity: false,
  };
}

function sendRate(numbers: NativeConnection | null): number | null {
  if (numbers === null || !(numbers.roundTripMs > 0)) return null;
  return Math.round((numbers.congestionWindowBytes * 8 * 1000) / numbers.roundTripMs);
}
