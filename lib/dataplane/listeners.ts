import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import { AF_INET, AF_INET6 } from '../sys/constants.js';
import { EADDRINUSE, errno, SysError } from '../sys/errno.js';
import { ignoreAllBut, ignoreNobody } from '../sys/filter.js';
import { type ListenOptions, listenDatagram, listenStream, startListening } from '../sys/listening.js';
import { canOwnPorts } from '../sys/portowner.js';
import { closeSocket } from '../sys/socket.js';
import { steerByClientAddress } from '../sys/steering.js';
import { UDP_BUFFER_SIZE } from './shared/udpbuffer.js';

/** One address and port on which a portal listens. */
export interface ListenerSpec {
  readonly protocol: Protocol;
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  /** Which other listeners may have the same port number on other addresses. */
  readonly neighbours: Neighbours;
  /** Whether to bind even if the node does not have the address. */
  readonly freeBind: boolean;
  /** The index of the only worker that listens, or null if all workers do. */
  readonly onlyWorker: number | null;
}

/**
 * Which other listeners may have the same port number. The kernel prefers a listener of one address to a
 * listener of all addresses, so the two can share a port. If two programs listen on the same address and
 * port, the kernel spreads the clients over both, and half of them reach the wrong program.
 *
 * - `none`: no other listener.
 * - `own`: this program's listeners of single addresses.
 * - `any`: also other programs' listeners of all addresses, if they set SO_REUSEPORT.
 */
export type Neighbours = 'none' | 'own' | 'any';

type Sharing = ListenOptions['sharing'];

/**
 * The ways of sharing to try, in their order. With `user`, other programs of the same user may listen on the
 * same port. With `program`, no other program may.
 */
const SHARING: Readonly<Record<Neighbours, readonly [Sharing, Sharing?]>> = {
  none: ['program'],
  own: ['program', 'user'],
  any: ['user', 'program'],
};

/** The open sockets of one {@link ListenerSpec}. `fds[w]` is for worker w; null if it does not listen. */
export interface ListenerGroup {
  readonly spec: ListenerSpec;
  readonly fds: readonly (number | null)[];
}

/**
 * Opens a portal's sockets, one per worker, in the order of the workers: the kernel's steering program counts
 * sockets in the order of their opening.
 * @throws SysError, most often EADDRINUSE; then no socket stays open
 */
export function openListeners(spec: ListenerSpec, workers: number): ListenerGroup {
  const [first, second] = SHARING[spec.neighbours];
  try {
    return openGroup(spec, workers, first);
  } catch (error) {
    if (second === undefined || !(error instanceof SysError) || error.code !== EADDRINUSE) throw error;
    return openGroup(spec, workers, second);
  }
}

/** Closes a group that was never given to the workers. They close the groups that they have. */
export function closeListeners({ fds }: Pick<ListenerGroup, 'fds'>): void {
  for (const fd of fds) if (fd !== null) closeSocket(fd);
}

function openGroup(spec: ListenerSpec, workers: number, wanted: Sharing): ListenerGroup {
  const sharing = possible(wanted, spec);
  const fds = new Array<number | null>(workers).fill(null);
  const own = spec.onlyWorker === null ? fds.keys() : [spec.onlyWorker];
  try {
    for (const worker of own) fds[worker] = openOne(spec, sharing);
  } catch (error) {
    closeListeners({ fds });
    throw error;
  }
  return { spec, fds };
}

let mayOwnPorts: boolean | undefined;

/**
 * The way of sharing that this process can have. Without the right to own ports (see canOwnPorts), it checks
 * at least that no other program has the port now.
 * @throws SysError EADDRINUSE if another program has it
 */
function possible(sharing: Sharing, spec: ListenerSpec): Sharing {
  mayOwnPorts ??= canOwnPorts();
  if (sharing !== 'program' || mayOwnPorts) return sharing;
  closeSocket(openOne(spec, 'nobody'));
  return 'user';
}

/**
 * Makes the kernel choose the socket of a group by client address. A single socket needs no choice.
 * @returns 0, or the errno if the kernel refuses
 */
export function steer({ spec, fds }: ListenerGroup): number {
  const [first, ...others] = fds.filter((fd) => fd !== null);
  if (first === undefined || others.length === 0) return 0;
  const family = spec.family === 'IPv6' ? AF_INET6 : AF_INET;
  return steerByClientAddress(first, family, 1 + others.length) ? 0 : errno();
}

/**
 * Makes the group's sockets ignore all but some clients, see {@link ignoreAllBut}.
 * @param heard these clients; null for all
 * @returns 0, or the errno if the kernel refuses
 */
export function setFilter({ fds }: ListenerGroup, heard: readonly string[] | null): number {
  for (const fd of fds) {
    if (fd === null) continue;
    const isSet = heard === null ? ignoreNobody(fd) : ignoreAllBut(fd, heard);
    if (!isSet) return errno();
  }
  return 0;
}

/** Whether this kernel can choose a worker by client address (Linux 4.6). */
export function probeSteering(): boolean {
  const fd = listenDatagram(
    { address: '127.0.0.1', port: 0, sharing: 'user', freeBind: false },
    UDP_BUFFER_SIZE,
  );
  try {
    return steerByClientAddress(fd, AF_INET, 1);
  } finally {
    closeSocket(fd);
  }
}

function openOne({ protocol, address, port, freeBind }: ListenerSpec, sharing: Sharing): number {
  const options = { address, port, freeBind, sharing };
  if (protocol === 'UDP') return listenDatagram(options, UDP_BUFFER_SIZE);
  const fd = listenStream(options);
  try {
    startListening(fd);
    return fd;
  } catch (error) {
    closeSocket(fd);
    throw error;
  }
}
