import { MSG_DONTWAIT, MSG_NOSIGNAL } from './constants.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

const block = new Memory(16 * 1024);

/**
 * Sends as many bytes as a stream socket takes at once. It never blocks, even if the socket is a blocking
 * one. The mode of the socket stays, because other programs may use the same socket, for example systemd's
 * socket of the journal.
 * @returns how many bytes the socket took; 0 if it is full or broken
 */
export function sendAtOnce(fd: number, bytes: Uint8Array): number {
  const length = Math.min(bytes.length, block.bytes.length);
  block.bytes.set(bytes.subarray(0, length));
  return Math.max(0, libc.send(fd, block.address, length, MSG_DONTWAIT | MSG_NOSIGNAL));
}
