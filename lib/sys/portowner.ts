import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM } from './constants.js';
import { checked } from './errno.js';
import * as libc from './libc.js';

/**
 * Nobody's user id: it lies outside of all ranges that systemd, container runtimes and the kubelet give away.
 */
export const PORT_OWNER = 4_294_863_728;
/** The value with which chown(2) leaves the group as it is. */
const SAME_GROUP = 0xffffffff;

/**
 * Gives a socket that is not bound yet to a user that no program runs as. Sockets share a port by
 * SO_REUSEPORT only if they belong to one user (socket(7)), and a socket's user is its inode's (sock_i_uid):
 * so those of this program share their ports with each other and with no other program, whichever came first.
 * The rights of the process do not change.
 * @throws SysError where {@link canOwnPorts} is false
 */
export function ownPort(fd: number): void {
  checked('fchown', setOwner(fd));
}

/**
 * Whether {@link ownPort} works: it takes CAP_CHOWN, and a user namespace that knows the id.
 * @throws SysError
 */
export function canOwnPorts(): boolean {
  const fd = checked('socket', libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const owned = setOwner(fd) === 0;
  libc.close(fd);
  return owned;
}

function setOwner(fd: number): number {
  return libc.fchown(fd, PORT_OWNER, SAME_GROUP);
}
