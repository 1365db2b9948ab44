import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM } from './constants.js';
import { checked } from './errno.js';
import * as libc from './libc.js';

/**
 * A user id that no program has: it is outside of all ranges that systemd, container runtimes and the kubelet
 * use.
 */
export const PORT_OWNER = 4_294_863_728;
/** The value with which chown(2) leaves the group as it is. */
const SAME_GROUP = 0xffffffff;

/**
 * Changes the owner of a socket, before it is bound, to a user that no program runs as. Sockets share a port
 * by SO_REUSEPORT only if they have the same user (socket(7)), which is the owner of the socket's inode
 * (sock_i_uid). So the sockets of this program share their ports with each other, and never with another
 * program. The rights of the process do not change.
 * @throws SysError where {@link canOwnPorts} is false
 */
export function ownPort(fd: number): void {
  checked('fchown', setOwner(fd));
}

/**
 * Whether {@link ownPort} works. It needs CAP_CHOWN, and a user namespace that contains the id.
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
