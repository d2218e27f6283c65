import { isSerialisedUrl } from '../serialised-url.js';

const SCHEME = 'https://';
const DEFAULT_PORT = 443;

/** The URL of a request, in the parts that are sent. It has no user name and no password. */
export class RequestUrl {
  /** As the URL standard serialises it, with its fragment. */
  readonly href: string;
  /** `"https:"`, or another one, which cannot be sent. */
  readonly protocol: string;
  /** A name in ASCII, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  /** With its query. */
  readonly path: string;

  private constructor(href: string, protocol: string, host: string, port: number, path: string) {
    this.href = href;
    this.protocol = protocol;
    this.host = host;
    this.port = port;
    this.path = path;
  }

  static of(url: URL): RequestUrl {
    const { hostname } = url;
    const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
    return new RequestUrl(url.href, url.protocol, host, port, `${url.pathname}${url.search}`);
  }

  /** Reads what most programs write without the URL parser; null: the parser has to. */
  static read(text: string): RequestUrl | null {
    if (!isSerialisedUrl(text)) return null;
    const path = text.indexOf('/', SCHEME.length);
    const colon = text.indexOf(':', SCHEME.length);
    const hasPort = colon !== -1 && colon < path;
    const host = text.slice(SCHEME.length, hasPort ? colon : path);
    const port = hasPort ? Number(text.slice(colon + 1, path)) : DEFAULT_PORT;
    return new RequestUrl(text, 'https:', host, port, text.slice(path));
  }

  get withoutFragment(): string {
    const start = this.href.indexOf('#');
    return start === -1 ? this.href : this.href.slice(0, start);
  }
}
