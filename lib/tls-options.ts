import { usageError } from './errors.js';
import {
  type HostIdentity,
  type Identity,
  type IdentityOptions,
  readHostIdentities,
  readIdentity,
  readPart,
} from './identity.js';
import { checkChoice, checkKeys, checkObject, optional } from './option-check.js';

/** Certificates that `updateTls()` puts in the place of others. What is left out stays as it is. */
export interface TlsUpdate extends IdentityOptions {
  /** All certificates by host name or `*.` and a name; names that are not here are gone. */
  sni?: Readonly<Record<string, IdentityOptions>> | undefined;
}

/** How clients come back. */
export interface SessionOptions {
  /**
   * `"tickets"`: clients that come back have a shorter handshake, in which no certificate is shown. The server keeps nothing:
   * tickets are encrypted under keys that live in this process and change every 6 hours. `"off"`: none. Default `"tickets"`.
   */
  sessionResumption?: 'tickets' | 'off' | undefined;
  /**
   * `"safe-methods"`: GET, HEAD and OPTIONS without content are served in early data (0-RTT), before the handshake is
   * complete; anything else there is answered 425 (RFC 8470). Tickets are then for one use, and the server remembers the last
   * 4,096 of them. Not with `sessionResumption: "off"`. Default `"off"`.
   */
  earlyData?: 'off' | 'safe-methods' | undefined;
}

/** Which clients must say who they are. */
export interface ClientCertificateOptions {
  /**
   * `"request"`: clients are asked for a certificate and may have none; `"require"`: a client without one is refused. One that is
   * shown must come from `ca`; `server.peerCertificate(request)` tells it. Default: clients are not asked.
   */
  clientCertificates?: 'request' | 'require' | undefined;
  /** Authorities that vouch for clients: PEM text, or bytes of PEM or of one DER certificate. Default: none. */
  ca?: string | Uint8Array | undefined;
  /** File with the authorities, read at once. Default: none. */
  caPath?: string | URL | undefined;
}

/** Client certificates after validation; both or neither. */
export interface ClientCertificates {
  readonly asked: 'request' | 'require';
  readonly ca: Uint8Array;
}

/** What the core knows of both options. */
export type Resumption = 'off' | 'tickets' | 'early-data';

/** The update after validation; its files are read. */
export interface ValidatedTlsUpdate {
  readonly identity: Identity | undefined;
  readonly sni: readonly HostIdentity[] | undefined;
}

const UPDATE_KEYS = Object.keys({
  cert: 0,
  key: 0,
  certPath: 0,
  keyPath: 0,
  sni: 0,
} satisfies Record<keyof TlsUpdate, 0>);

/** Checks what the user passed to `updateTls()` and reads the files it names. Throws a TypeError. */
export function validateTlsUpdate(update: unknown): ValidatedTlsUpdate {
  const given = checkObject(update, 'the argument of updateTls()');
  checkKeys(given, UPDATE_KEYS, 'the argument of updateTls()');
  const identity = readIdentity(given, '');
  const sni = optional(given['sni'], readHostIdentities);
  if (identity === undefined && sni === undefined) {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      'updateTls() was given no certificate: pass "cert" and "key", "certPath" and "keyPath", or "sni"',
    );
  }
  return { identity, sni };
}

/** Checks the options of {@link SessionOptions} alone and together. Throws a TypeError. */
export function readSessions(given: Readonly<Record<string, unknown>>): Resumption {
  const resumption =
    optional(given['sessionResumption'], (value) =>
      checkChoice(value, 'sessionResumption', ['tickets', 'off']),
    ) ?? 'tickets';
  const early =
    optional(given['earlyData'], (value) => checkChoice(value, 'earlyData', ['off', 'safe-methods'])) ??
    'off';
  if (early === 'off') return resumption;
  if (resumption === 'off') {
    throw usageError(
      'ERR_H3_OPTION_TYPE',
      'options "earlyData" and "sessionResumption" contradict each other: only a resumed session has early data; remove one',
    );
  }
  return 'early-data';
}

/** Checks the options of {@link ClientCertificateOptions}. Throws a TypeError. */
export function readClientCertificates(
  given: Readonly<Record<string, unknown>>,
): ClientCertificates | undefined {
  const asked = optional(given['clientCertificates'], (value) =>
    checkChoice(value, 'clientCertificates', ['request', 'require']),
  );
  const ca = readPart(given, 'ca', '');
  if (asked !== undefined && ca !== undefined) return { asked, ca };
  if (asked === undefined && ca === undefined) return undefined;
  const [present, missing] =
    asked === undefined ? ['ca', 'clientCertificates'] : ['clientCertificates', 'ca'];
  throw usageError(
    'ERR_H3_OPTION_TYPE',
    `option "${present}" was given without "${missing}": pass both, or neither`,
  );
}
