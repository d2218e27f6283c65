export type { NativeDatagramStats as H3DatagramStats } from './binding.cjs';
export { type AltSvcOptions, altSvc } from './lib/alt-svc.js';
export type { CertificateHash } from './lib/client/certificate-hashes.js';
export { H3Client, type H3Exchange, type H3TunnelInit, h3fetch } from './lib/client/client.js';
export { type ConnectQuicOptions, connectQuic, type QUICTarget } from './lib/client/connect-quic.js';
export type { H3ClientOptions, Resolve } from './lib/client/options.js';
export type { H3RequestInit, H3RequestInput } from './lib/client/outgoing-request.js';
export type {
  QUICClientConnection,
  QUICCloseInfo,
  QUICConnectionStats,
  QUICDatagrams,
} from './lib/client/quic-connection.js';
export type { RequestDatagrams } from './lib/client/request-datagrams.js';
export type { H3Response } from './lib/client/response.js';
export type { WebTransportConnectionStats, WebTransportDatagramStats } from './lib/client/session-stats.js';
export type { H3ClientStats, ResponseConnection } from './lib/client/transport.js';
export { WebTransport, type WebTransportSendStreamOptions } from './lib/client/web-transport.js';
export type {
  WebTransportCongestionControl,
  WebTransportHash,
  WebTransportOptions,
} from './lib/client/web-transport-options.js';
export type { H3Connection, H3DatagramContext, QUICDatagramContext, RemoteAddress } from './lib/datagrams.js';
export type {
  ConnectionCloseMessage,
  ConnectionOpenMessage,
  RequestEndMessage,
  RequestErrorMessage,
  RequestStartMessage,
} from './lib/diagnostics.js';
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
export type { Logger } from './lib/logger.js';
export type {
  ConnectionCloseCause,
  ErrorHandler,
  H3Handlers,
  H3Limits,
  H3ServeOptions,
} from './lib/options.js';
export { type Trailers, withTrailers } from './lib/outgoing-trailers.js';
export type { H3ReloadOptions } from './lib/reload.js';
export type { H3Request, IncomingStream, StreamingRequest } from './lib/request.js';
export type { H3RequestEnd } from './lib/request-end.js';
export { Response, type ResponseBody, type ResponseClass } from './lib/response.js';
export type {
  BodyMode,
  DatagramRoute,
  Handler,
  RequestRoute,
  RouteDefinition,
  RouteDefinitions,
  RouteParams,
  SessionRoute,
  StreamingRoute,
  TunnelRoute,
} from './lib/route-kinds.js';
export { route } from './lib/routes.js';
export { WebTransportSendGroup, type WebTransportSendOptions } from './lib/send-group.js';
export { type ServeStaticOptions, type StaticHandler, serveStatic } from './lib/serve-static.js';
export { createH3Server, type H3ConnectionStats, H3Server, type H3ServerStats } from './lib/server.js';
export { type WebTransportDatagrams, WebTransportDatagramsWritable } from './lib/session-datagrams.js';
export type { WebTransportBidirectionalStream } from './lib/session-streams.js';
export type { ClientCertificateOptions, SessionOptions, TlsUpdate } from './lib/tls-options.js';
export type { WebTransportCloseInfo, WTAcceptOptions, WTContext } from './lib/webtransport.js';
export {
  WebTransportError,
  type WebTransportErrorOptions,
  type WebTransportErrorSource,
} from './lib/webtransport-error.js';
export {
  WebTransportReceiveStream,
  type WebTransportReceiveStreamStats,
  WebTransportSendStream,
  type WebTransportSendStreamStats,
} from './lib/webtransport-streams.js';
