import { MSG_DONTWAIT, MSG_NOSIGNAL } from './constants.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

const block = new Memory(16 * 1024);

/**
 * Sends to a stream socket what it takes at once, whether or not its description is a blocking one: that is
 * shared with other programs, as systemd's socket of the journal is.
 * @returns how many bytes it took; 0 where it is full or broken
 */
export function sendAtOnce(fd: number, bytes: Uint8Array): number {
  const length = Math.min(bytes.length, block.bytes.length);
  block.bytes.set(bytes.subarray(0, length));
  return Math.max(0, libc.send(fd, block.address, length, MSG_DONTWAIT | MSG_NOSIGNAL));
}
