export type { NativeDatagramStats as H3DatagramStats } from './binding.cjs';
export type { H3Connection, H3DatagramContext, QUICDatagramContext, RemoteAddress } from './lib/datagrams.js';
export {
  ERROR_CODES,
  type ErrorRow,
  H3Error,
  type H3ErrorCode,
  type H3ErrorLayer,
  isH3Error,
  type UsageError,
  type UsageErrorCode,
} from './lib/errors.js';
export { type FileResponseInit, fileResponse } from './lib/file-response.js';
export type { IdentityOptions } from './lib/identity.js';
export type { ConnectionCloseCause, ErrorHandler, H3Limits, H3ServeOptions, Logger } from './lib/options.js';
export { type Trailers, withTrailers } from './lib/outgoing-trailers.js';
export type { H3Request } from './lib/request.js';
export { Response, type ResponseBody, type ResponseClass } from './lib/response.js';
export {
  type BodyMode,
  type Handler,
  type RouteDefinition,
  type RouteDefinitions,
  type RouteParams,
  route,
} from './lib/routes.js';
export { type ServeStaticOptions, type StaticHandler, serveStatic } from './lib/serve-static.js';
export { createH3Server, type H3ConnectionStats, H3Server, type H3ServerStats } from './lib/server.js';
export type { WebTransportBidirectionalStream } from './lib/session-streams.js';
export type { ClientCertificateOptions, SessionOptions, TlsUpdate } from './lib/tls-options.js';
export type {
  WebTransportCloseInfo,
  WebTransportDatagrams,
  WTAcceptOptions,
  WTContext,
} from './lib/webtransport.js';
export {
  WebTransportError,
  type WebTransportErrorOptions,
  type WebTransportErrorSource,
} from './lib/webtransport-error.js';
