export { ERROR_CODES, type ErrorRow, H3Error, type H3ErrorCode, type H3ErrorLayer, isH3Error, type UsageError, type UsageErrorCode, } from './lib/errors.js';
export type { IdentityOptions } from './lib/identity.js';
export type { ErrorHandler, H3Limits, H3ServeOptions, Logger } from './lib/options.js';
export type { H3Request } from './lib/request.js';
export { Response } from './lib/response.js';
export { type Handler, type RouteDefinition, type RouteDefinitions, type RouteParams, route, } from './lib/routes.js';
export { createH3Server, H3Server, type H3ServerStats, type RemoteAddress } from './lib/server.js';
