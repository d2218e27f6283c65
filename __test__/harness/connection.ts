import { Buffer } from 'node:buffer';
import { Answer } from './answer.js';
import { PATIENCE_MS } from './deadline.js';
import { type Peer, type PeerFailure, type Reply, sharedPeer } from './peer.js';
import { RawStream } from './raw-stream.js';

/** What a connection is opened with; the defaults are the peer's. */
export interface ConnectOptions {
  readonly sni?: string;
  readonly alpn?: readonly string[];
  /** Trusts only what this certificate signed; any other is accepted otherwise. */
  readonly caPem?: string;
  /** Trusts only the certificate with this SHA-256, hexadecimal. */
  readonly certSha256?: string;
  readonly idleTimeoutMs?: number;
  /** Body bytes that the server may send before they are read: small values show back-pressure soon. */
  readonly streamReceiveWindow?: number;
  /** First bytes of the control stream of a bare connection, hexadecimal; empty: the stream is not opened. */
  readonly controlHex?: string;
  /** The certificate that the client shows if it is asked. */
  readonly identity?: { readonly cert: string; readonly key: string };
  /** Connections that share this name resume its TLS session, and have the first one's trust and ALPN. */
  readonly session?: string;
  readonly patienceMs?: number;
}

/** A request of the peer. */
export interface RequestOptions {
  readonly method?: string;
  readonly path?: string;
  readonly authority?: string;
  /** `:protocol` of an extended CONNECT; the peer's h3 knows `webtransport` and `connect-udp`. */
  readonly protocol?: 'webtransport' | 'connect-udp';
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string | Uint8Array;
  /** A body of so many bytes; that at offset n is n mod 251. */
  readonly bodySize?: number;
  readonly chunkSize?: number;
  readonly chunkDelayMs?: number;
  readonly trailers?: readonly (readonly [name: string, value: string])[];
  readonly resetAfterBytes?: number;
  readonly resetCode?: number;
  /** Stops reading the answer after so many bytes. */
  readonly stopAfterBytes?: number;
  readonly stopCode?: number;
  readonly readDelayMs?: number;
  readonly patienceMs?: number;
}

/** What a request that is left open goes on with. */
export interface OpenOptions extends RequestOptions {
  /** Comes back when the head of the answer is here, or when the request has been sent. Default `"headers"`. */
  readonly read?: 'headers' | 'none';
  /** Leaves the request without its end. */
  readonly keepOpen?: boolean;
}

/** How a connection ended. */
export interface Closed extends PeerFailure {
  /** What the peer's own HTTP/3 found wrong, if it was it that closed. */
  readonly fault: PeerFailure | null;
}

/** The peer could not do what it was told. */
export class PeerError extends Error {
  readonly failure: PeerFailure;

  constructor(what: string, failure: PeerFailure) {
    super(`${what}: ${failure.kind} ${failure.code ?? ''} ${failure.reason}`);
    this.failure = failure;
  }
}

let names = 0;

/** A name that no other thing in the peer has. */
function newName(): string {
  names += 1;
  return `n${names}`;
}

/** A connection of the peer to a server. */
export class Connection {
  readonly #peer: Peer;
  readonly #name: string;
  /** SHA-256 of the server's certificate, hexadecimal. */
  readonly certificateSha256: string;
  readonly alpn: string | null;
  /** Whether the server took the early data; null if there was none. */
  readonly earlyData: boolean | null;

  private constructor(peer: Peer, name: string, reply: Reply) {
    this.#peer = peer;
    this.#name = name;
    this.certificateSha256 = reply['certificate_sha256'] as string;
    this.alpn = reply['alpn'] as string | null;
    this.earlyData = reply['early_data'] as boolean | null;
  }

  /** Opens a connection that speaks HTTP/3. Rejects with a {@link PeerError}. */
  static open(url: URL | string, options: ConnectOptions = {}): Promise<Connection> {
    return Connection.#dial('connect', url, options, {});
  }

  /** Opens a bare QUIC connection whose control stream begins with empty SETTINGS (RFC 9114 §6.2.1). */
  static openRaw(url: URL | string, options: ConnectOptions = {}): Promise<Connection> {
    return Connection.#dial('raw_connect', url, options, { control_hex: options.controlHex ?? '000400' });
  }

  /**
   * Comes back with a session: the first packets carry a whole stream of `bytes` in early data. Rejects with a
   * {@link PeerError} of the kind `usage` if the session has no ticket that allows it.
   */
  static async openEarly(
    url: URL | string,
    bytes: Uint8Array,
    options: ConnectOptions & { readonly session: string },
  ): Promise<{ readonly connection: Connection; readonly stream: RawStream }> {
    const hex = Buffer.from(bytes).toString('hex');
    const more = { control_hex: '000400', early_hex: hex };
    const connection = await Connection.#dial('raw_connect', url, options, more);
    return { connection, stream: connection.#stream('early', 0) };
  }

  static async #dial(
    command: string,
    url: URL | string,
    options: ConnectOptions,
    more: object,
  ): Promise<Connection> {
    const peer = sharedPeer();
    const name = newName();
    const fields = {
      conn: name,
      url: `${url}`,
      sni: options.sni,
      alpn: options.alpn,
      ca_pem: options.caPem,
      cert_sha256: options.certSha256,
      idle_timeout_ms: options.idleTimeoutMs,
      stream_receive_window: options.streamReceiveWindow,
      session: options.session,
      client_cert_pem: options.identity?.cert,
      client_key_pem: options.identity?.key,
      ...more,
    };
    const reply = await peer.command(command, fields, options.patienceMs);
    return new Connection(peer, name, checked(`connecting to ${url}`, reply));
  }

  /** Sends a request and reads the whole answer. What fails on the way is in the answer. */
  async request(options: RequestOptions = {}): Promise<Answer> {
    const reply = await this.#command('request', requestFields(options), options.patienceMs);
    return new Answer(reply);
  }

  /** GET. */
  get(path = '/', options: RequestOptions = {}): Promise<Answer> {
    return this.request({ ...options, path });
  }

  /** Sends a request and leaves it open. */
  async open(options: OpenOptions = {}): Promise<OpenRequest> {
    const name = newName();
    const fields = {
      ...requestFields(options),
      request: name,
      read: options.read ?? 'headers',
      keep_open: options.keepOpen ?? false,
    };
    const reply = await this.#command('request', fields, options.patienceMs);
    const command = (verb: string, more: object, patienceMs?: number): Promise<Reply> =>
      this.#command(verb, { ...more, request: name }, patienceMs);
    return new OpenRequest(new Answer(reply), command);
  }

  /** Opens a stream of bare QUIC. */
  async openStream(kind: 'bidi' | 'uni' = 'bidi'): Promise<RawStream> {
    return this.#newStream('raw_open', kind);
  }

  /** Waits for a stream that the server opens. */
  async acceptStream(kind: 'bidi' | 'uni'): Promise<RawStream> {
    return this.#newStream('raw_accept', kind);
  }

  async #newStream(command: 'raw_open' | 'raw_accept', kind: 'bidi' | 'uni'): Promise<RawStream> {
    const name = newName();
    const reply = checked(`${command} ${kind}`, await this.#command(command, { kind, stream: name }));
    return this.#stream(name, reply['stream_id'] as number);
  }

  #stream(name: string, id: number): RawStream {
    return new RawStream(id, async (verb, more, patienceMs) =>
      checked(verb, await this.#command(verb, { ...more, stream: name }, patienceMs)),
    );
  }

  /** Sends QUIC datagrams of these bytes; with a quarter stream id, HTTP datagrams (RFC 9297 §2.1). */
  async sendDatagram(
    bytes: Uint8Array | string,
    { quarterStreamId, count }: { quarterStreamId?: number; count?: number } = {},
  ): Promise<void> {
    const hex = Buffer.from(bytes as string).toString('hex');
    const fields = { hex, quarter_stream_id: quarterStreamId, count };
    checked('raw_datagram', await this.#command('raw_datagram', fields));
  }

  /** The next `count` QUIC datagrams; fewer if they do not come in time. */
  async readDatagrams(count = 1, patienceMs?: number): Promise<Buffer[]> {
    const reply = checked(
      'raw_read_datagram',
      await this.#command('raw_read_datagram', { count }, patienceMs),
    );
    return (reply['datagrams'] as string[]).map((hex) => Buffer.from(hex, 'hex'));
  }

  /** The id in the last GOAWAY, or null if none comes within `patienceMs`. */
  async goaway(patienceMs: number): Promise<number | null> {
    return checked('goaway', await this.#command('goaway', {}, patienceMs))['goaway'] as number | null;
  }

  /** Waits for the end of the connection. */
  async closed(patienceMs = PATIENCE_MS): Promise<Closed> {
    const reply = checked('wait_closed', await this.#command('wait_closed', {}, patienceMs));
    return { ...(reply['closed'] as PeerFailure), fault: reply['h3_fault'] as PeerFailure | null };
  }

  /** Closes the connection; the server is told. */
  async close(code = 0x100): Promise<void> {
    checked('close', await this.#command('close', { code }));
  }

  /** Vanishes: sends and hears nothing from now on, and the server is not told. */
  async vanish(): Promise<void> {
    checked('raw_drop', await this.#command('raw_drop', {}));
  }

  #command(verb: string, fields: object, patienceMs?: number): Promise<Reply> {
    return this.#peer.command(verb, { ...fields, conn: this.#name }, patienceMs);
  }
}

/** A request that goes on after its head. */
export class OpenRequest {
  /** What was there when it was opened; without a status if nothing was read. */
  readonly answer: Answer;
  readonly #command: (verb: string, fields: object, patienceMs?: number) => Promise<Reply>;

  constructor(
    answer: Answer,
    command: (verb: string, fields: object, patienceMs?: number) => Promise<Reply>,
  ) {
    this.answer = answer;
    this.#command = command;
  }

  /** Reads on until `minBytes` more are there, or to the end. */
  async read(minBytes?: number, patienceMs?: number): Promise<Answer> {
    return new Answer(await this.#command('read', { min_bytes: minBytes }, patienceMs));
  }

  /** Sends more of the body, and the end of the request with `fin`. */
  async send(body: string | Uint8Array, fin = false): Promise<void> {
    checked('send', await this.#command('send', { body_base64: base64(body), fin }));
  }

  /** Ends the request with trailers. */
  async finish(trailers: readonly (readonly [name: string, value: string])[]): Promise<void> {
    checked('send', await this.#command('send', { body_base64: '', trailers, fin: true }));
  }

  /** Gives the request up, H3_REQUEST_CANCELLED unless told otherwise. */
  async cancel(code?: number): Promise<void> {
    checked('cancel', await this.#command('cancel', { code }));
  }
}

function requestFields(options: RequestOptions): object {
  return {
    method: options.method,
    path: options.path,
    authority: options.authority,
    protocol: options.protocol,
    headers: options.headers ?? [],
    body_base64: options.body === undefined ? undefined : base64(options.body),
    body_size: options.bodySize,
    chunk_size: options.chunkSize,
    chunk_delay_ms: options.chunkDelayMs,
    trailers: options.trailers,
    reset_after_bytes: options.resetAfterBytes,
    reset_code: options.resetCode,
    stop_after_bytes: options.stopAfterBytes,
    stop_code: options.stopCode,
    read_delay_ms: options.readDelayMs,
  };
}

function base64(body: string | Uint8Array): string {
  return Buffer.from(body as string).toString('base64');
}

function checked(what: string, reply: Reply): Reply {
  const failure = reply['error'] as PeerFailure | undefined;
  if (failure !== undefined) throw new PeerError(what, failure);
  return reply;
}
