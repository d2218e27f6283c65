// A certificate chain that Chromium takes for one of a public authority. Over QUIC it takes no other, not even one of an
// authority that was added to the machine; so its own list of authorities is replaced, as its updater would do it.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files of a chain. */
export interface Chain {
  /** The certificate of the host, then that of the authority; PEM. */
  readonly certPath: string;
  readonly keyPath: string;
  /** The certificate of the authority, DER. */
  readonly root: Uint8Array;
}

/** Newer than any that Chromium has. */
const STORE_VERSION = 9_999;
/** Any that the list does not use. */
const ROOT_ID = 424_242;

/** Makes an authority and a certificate for `host`, with the `openssl` of the machine. */
export function makeChain(folder: string, host: string): Chain {
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): Buffer =>
    execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  for (const name of ['ca', 'leaf'])
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at(`${name}.key`));
  const authority = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
  openssl(
    ...[
      'req',
      '-x509',
      '-new',
      '-key',
      at('ca.key'),
      '-days',
      '13',
      '-subj',
      '/CN=Authority of a test',
      '-out',
      at('ca.pem'),
    ],
    ...authority.flatMap((extension) => ['-addext', extension]),
  );
  openssl('req', '-new', '-key', at('leaf.key'), '-subj', `/CN=${host}`, '-out', at('leaf.csr'));
  writeFileSync(
    at('leaf.ext'),
    `subjectAltName=DNS:${host}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n`,
  );
  openssl(
    ...[
      'x509',
      '-req',
      '-in',
      at('leaf.csr'),
      '-CA',
      at('ca.pem'),
      '-CAkey',
      at('ca.key'),
      '-set_serial',
      '1',
    ],
    ...['-days', '13', '-extfile', at('leaf.ext'), '-out', at('leaf.pem')],
  );
  writeFileSync(at('chain.pem'), readFileSync(at('leaf.pem'), 'utf8') + readFileSync(at('ca.pem'), 'utf8'));
  const root = openssl('x509', '-in', at('ca.pem'), '-outform', 'der');
  return { certPath: at('chain.pem'), keyPath: at('leaf.key'), root };
}

/** Writes a list of authorities that has only `root` into a profile, where the component updater puts such lists. */
export function trustOnly(root: Uint8Array, profile: string): void {
  const folder = join(profile, 'PKIMetadata', `${STORE_VERSION}`);
  mkdirSync(folder, { recursive: true });
  const manifest = { manifest_version: 2, name: 'pkiMetadata', version: `${STORE_VERSION}` };
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  // Chromium's net/cert/root_store.proto: RootStore { trust_anchors = 1, version_major = 2 }, and
  // TrustAnchor { der = 1, display_name = 5, crs_root_id = 12 }.
  const anchor = [...bytesField(1, root), ...bytesField(5, Buffer.from('test')), ...numberField(12, ROOT_ID)];
  const store = [...bytesField(1, Uint8Array.from(anchor)), ...numberField(2, STORE_VERSION)];
  writeFileSync(join(folder, 'crs.pb'), Uint8Array.from(store));
}

function bytesField(number: number, bytes: Uint8Array): number[] {
  return [(number << 3) | 2, ...varint(bytes.length), ...bytes];
}

function numberField(number: number, value: number): number[] {
  return [number << 3, ...varint(value)];
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)];
}
