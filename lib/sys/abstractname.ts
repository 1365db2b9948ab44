import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from './constants.js';
import { checked, EADDRINUSE, errno, SysError } from './errno.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/**
 * Takes a name that only one process in a network namespace can hold: an abstract Unix socket (unix(7)). The
 * kernel releases the name when the process ends, also after a SIGKILL, so there is no stale lock.
 * @returns the descriptor, or null if another process holds the name; closing the descriptor releases the
 *   name
 */
export function takeAbstractName(name: string): number | null {
  const path = Buffer.from(`\0${name}`);
  const address = new Memory(2 + path.length);
  address.view.setUint16(0, AF_UNIX, true);
  address.bytes.set(path, 2);
  const fd = checked('socket', libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (libc.bindSocket(fd, address.address, 2 + path.length) === 0) return fd;
  const code = errno();
  libc.close(fd);
  if (code === EADDRINUSE) return null;
  throw new SysError('bind', code);
}
