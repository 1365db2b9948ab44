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

/** One address and port a portal listens on. */
export interface ListenerSpec {
  readonly protocol: Protocol;
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  /** Whose listeners of other addresses the port's number may also have. */
  readonly neighbours: Neighbours;
  /** Binds although the node does not have the address (yet). */
  readonly freeBind: boolean;
  /** One worker's index to listen in that one only, where descriptors are too few for all; else null. */
  readonly onlyWorker: number | null;
}

/**
 * The kernel prefers a listener of one address to one of all addresses, so the two can have the same port.
 * Among the listeners of one place it mixes, and then half of the clients meet a stranger.
 *
 * - `none`: the port's number is the listener's alone.
 * - `own`: this program's listeners of single addresses.
 * - `any`: also other programs' listeners of all addresses, where they agree (SO_REUSEPORT).
 */
export type Neighbours = 'none' | 'own' | 'any';

type Sharing = ListenOptions['sharing'];

/**
 * Tried in turn. What belongs to the user stands beside other programs' listeners; what belongs to the
 * program is safe from them.
 */
const SHARING: Readonly<Record<Neighbours, readonly [Sharing, Sharing?]>> = {
  none: ['program'],
  own: ['program', 'user'],
  any: ['user', 'program'],
};

/** Open sockets of one {@link ListenerSpec}: `fds[w]` belongs to worker w, or is null. */
export interface ListenerGroup {
  readonly spec: ListenerSpec;
  readonly fds: readonly (number | null)[];
}

/**
 * Opens a portal's sockets, one per worker, in the workers' order: the kernel's steering program counts them
 * so.
 * @throws SysError, EADDRINUSE above all; nothing stays open then
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

/** Only for a group that the workers have not got: they close what is theirs. */
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

let owning: boolean | undefined;

/**
 * Without the right to own ports, at least nobody else may be there at this moment.
 * @throws SysError with EADDRINUSE
 */
function possible(sharing: Sharing, spec: ListenerSpec): Sharing {
  owning ??= canOwnPorts();
  if (sharing !== 'program' || owning) return sharing;
  closeSocket(openOne(spec, 'nobody'));
  return 'user';
}

/**
 * Makes the workers' sockets of a group be chosen by client address; one alone needs no choice.
 * @returns 0, or the errno where the kernel refuses
 */
export function steer({ spec, fds }: ListenerGroup): number {
  const [first, ...others] = fds.filter((fd) => fd !== null);
  if (first === undefined || others.length === 0) return 0;
  const family = spec.family === 'IPv6' ? AF_INET6 : AF_INET;
  return steerByClientAddress(first, family, 1 + others.length) ? 0 : errno();
}

/**
 * Makes the group's sockets deaf but for some clients, see {@link ignoreAllBut}; with null they hear everyone
 * again.
 * @returns 0, or the errno where the kernel refuses
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
