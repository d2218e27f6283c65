import process from 'node:process';
import type { NativeSocketBuffers } from '../binding.cjs';
import type { Logger } from './logger.js';

const KIB = 1024;

/** Tells the logger that the kernel keeps fewer packets than a busy server needs, and how to mend it. */
export function warnOfSmallBuffers(logger: Logger, buffers: NativeSocketBuffers): void {
  logger.warn(smallBuffersText(buffers, process.platform));
}

/** The warning for a platform, with its own remedy. */
export function smallBuffersText({ asked, receive, send }: NativeSocketBuffers, platform: string): string {
  const kib = (bytes: number): string => `${Math.floor(bytes / KIB)} KiB`;
  return `trilane: the kernel gives UDP sockets ${kib(receive)} to receive and ${kib(send)} to send, of ${kib(asked)} asked for: bursts will lose packets. ${remedy(platform, asked)} Option "udpBufferWarning": false silences this, which is said once.`;
}

function remedy(platform: string, bytes: number): string {
  if (platform === 'linux') {
    return `Allow more, as root: sysctl -w net.core.rmem_max=${bytes} net.core.wmem_max=${bytes} (and the same lines in /etc/sysctl.d/ to keep it). In Docker and Kubernetes the limits are those of the host: set them there.`;
  }
  if (platform === 'darwin') return `Allow more, as root: sysctl -w kern.ipc.maxsockbuf=${2 * bytes}.`;
  return 'Allow larger socket buffers in the settings of the system.';
}
