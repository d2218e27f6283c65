import { channel } from 'node:diagnostics_channel';
import type { H3Connection } from './datagrams.js';
import type { Exchange } from './exchange.js';
import type { ConnectionCloseCause } from './options.js';
import type { H3Request } from './request.js';
import type { H3Server } from './server.js';

/** Published on `trilane:server:request:start`, before the handler is called. */
export interface RequestStartMessage {
  /** Whose handler is called. */
  readonly server: H3Server;
  /** What the handler gets. */
  readonly request: H3Request;
  /** The pattern of its route; null: the fallback. */
  readonly route: string | null;
}

/** Published on `trilane:server:request:error`, when a handler throws or rejects, or its answer cannot be sent. */
export interface RequestErrorMessage extends RequestStartMessage {
  /** What was thrown, or says why the answer cannot be sent. */
  readonly error: unknown;
}

/** Published on `trilane:server:request:end`, once for each start: the answer is out of the hands of this process, or nobody wants it. */
export interface RequestEndMessage extends RequestStartMessage {
  /** The status that was answered; null if there was no answer, and of a WebTransport session that was accepted. */
  readonly status: number | null;
  /** The client gave the request up, or is gone. */
  readonly aborted: boolean;
}

/** Published on `trilane:connection:open`, when a handshake is complete. */
export interface ConnectionOpenMessage {
  /** Whose connection it is. */
  readonly server: H3Server;
  /** Its id and its address. */
  readonly connection: H3Connection;
}

/** Published on `trilane:connection:close`. */
export interface ConnectionCloseMessage extends ConnectionOpenMessage {
  /** How it ended, and who ended it. */
  readonly cause: ConnectionCloseCause;
}

/** What is used of a channel: the published types need no types of Node. */
interface Channel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
}

/** `node:diagnostics_channel`, which all runtimes have. Nothing is made or published for a channel without subscribers. */
const requestStart = channel('trilane:server:request:start');
const requestError = channel('trilane:server:request:error');
const requestEnd = channel('trilane:server:request:end');
export const connectionOpen: Channel = channel('trilane:connection:open');
export const connectionClose: Channel = channel('trilane:connection:close');

/** Its handler is about to be called; somebody watches. */
export function requestBegins(exchange: Exchange, request: H3Request, server: H3Server): void {
  exchange.watched = request;
  if (requestStart.hasSubscribers) requestStart.publish(messageOf(exchange, request, server));
}

/** Its handler failed, or what it gave cannot be sent. */
export function requestFailed(exchange: Exchange, error: unknown, server: H3Server): void {
  const request = exchange.watched;
  if (request === null || !requestError.hasSubscribers) return;
  requestError.publish({ ...messageOf(exchange, request, server), error });
}

/** It is over. */
export function requestEnds(exchange: Exchange, server: H3Server): void {
  const request = exchange.watched;
  exchange.watched = null;
  if (request === null || !requestEnd.hasSubscribers) return;
  const aborted = exchange.gone?.remote ?? false;
  requestEnd.publish({ ...messageOf(exchange, request, server), status: exchange.status, aborted });
}

function messageOf({ route }: Exchange, request: H3Request, server: H3Server): RequestStartMessage {
  return { server, request, route: route?.pattern ?? null };
}

/** Whether a request that begins now is watched to its end. */
export function watchesRequests(): boolean {
  return requestStart.hasSubscribers || requestEnd.hasSubscribers || requestError.hasSubscribers;
}

/** Whether connections are; asked when a server is made, for connections cross the border only if somebody listens. */
export function watchesConnections(): boolean {
  return connectionOpen.hasSubscribers || connectionClose.hasSubscribers;
}
