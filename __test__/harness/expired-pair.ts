import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { Pair } from './pair.js';

const DAY_MS = 86_400_000;

/** A DER value: its tag, its length, its content. */
function der(tag: number, ...parts: Uint8Array[]): Uint8Array {
  const content = joined(parts);
  const { length } = content;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return joined([Uint8Array.from([tag, ...head]), content]);
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

const text = (tag: number, value: string): Uint8Array => der(tag, new TextEncoder().encode(value));
const SEQUENCE = 0x30;
const ECDSA_WITH_SHA256 = der(SEQUENCE, der(0x06, Uint8Array.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])));
const LOCALHOST = der(
  SEQUENCE,
  der(0x31, der(SEQUENCE, der(0x06, Uint8Array.from([0x55, 4, 3])), text(0x0c, 'localhost'))),
);
/** Subject alternative name: the DNS name "localhost". */
const NAMES = der(
  SEQUENCE,
  der(0x06, Uint8Array.from([0x55, 0x1d, 0x11])),
  der(0x04, der(SEQUENCE, text(0x82, 'localhost'))),
);

/** A time as X.509 has it. */
function utcTime(ms: number): Uint8Array {
  return text(0x17, `${new Date(ms).toISOString().slice(2, 19).replaceAll(/[-:T]/g, '')}Z`);
}

/** A pair for localhost that was valid for ten days and is no longer, and the SHA-256 of its certificate. */
export function expiredPair(): Pair & { readonly hash: Uint8Array } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const now = Date.now();
  const toBeSigned = der(
    SEQUENCE,
    der(0xa0, der(0x02, Uint8Array.of(2))),
    der(0x02, Uint8Array.of(1)),
    ECDSA_WITH_SHA256,
    LOCALHOST,
    der(SEQUENCE, utcTime(now - 12 * DAY_MS), utcTime(now - 2 * DAY_MS)),
    LOCALHOST,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(SEQUENCE, NAMES)),
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  const certificate = der(SEQUENCE, toBeSigned, ECDSA_WITH_SHA256, der(0x03, Uint8Array.of(0), signature));
  const base64 = btoa(String.fromCharCode(...certificate)).replaceAll(/.{64}/g, '$&\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    hash: createHash('sha256').update(certificate).digest(),
  };
}
