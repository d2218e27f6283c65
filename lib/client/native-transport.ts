import { H3Error } from '../errors.js';
import type { OpenTransport } from './transport.js';

/** Whether this build has a native client. */
export const HAS_NATIVE_CLIENT: boolean = false;

/** The connections of the native client. */
export const openNativeTransport: OpenTransport = () => {
  throw new H3Error('ERR_H3_INTERNAL', 'this build has no native client');
};
