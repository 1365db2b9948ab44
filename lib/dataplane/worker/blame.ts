import {
  EACCES,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTDOWN,
  EHOSTUNREACH,
  EINVAL,
  EMFILE,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  ENONET,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
  EPROTO,
  ETIMEDOUT,
  errnoName,
} from '../../sys/errno.js';
import type { DataplaneEvent } from '../shared/messages.js';
import type { ServedPortal } from './servedportal.js';
import type { Target } from './target.js';

/** Who is to blame for an error of connect or send. */
export enum Blame {
  /** The endpoint is gone or cannot be reached. Another endpoint may answer. */
  Endpoint,
  /** This node lacks ports, descriptors or memory, or its packet filter dropped the packet. */
  Node,
  /** This datagram is too long for the path. Shorter ones pass. */
  Datagram,
}

/**
 * Errors that mean that the endpoint does not answer. Sources: the endpoint itself; a router on the path
 * (ICMP, which the kernel translates in icmp_err_convert, net/ipv4/icmp.c, and tab_unreach,
 * net/ipv6/icmp.c); a route of this node that excludes the endpoint: unreachable (EHOSTUNREACH), prohibit
 * (EACCES), blackhole (EINVAL).
 */
const ENDPOINT_ERRORS: ReadonlySet<number> = new Set([
  EACCES,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTDOWN,
  EHOSTUNREACH,
  EINVAL,
  ENETDOWN,
  ENETUNREACH,
  ENONET,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTO,
  ETIMEDOUT,
]);

/**
 * @param code an error of connect, or a socket's pending error. EPERM means that a policy of this node
 *   forbids the endpoint (a BPF program of the cgroup). It is never netfilter: TCP does not learn of packets
 *   that netfilter drops.
 */
export function blameForConnect(code: number): Blame {
  return ENDPOINT_ERRORS.has(code) || code === EPERM ? Blame.Endpoint : Blame.Node;
}

/**
 * @param code an error of sending a datagram. EPERM means that netfilter dropped the datagram: by a rule of
 *   this node, or because its conntrack table is full.
 */
export function blameForSend(code: number): Blame {
  if (code === EMSGSIZE) return Blame.Datagram;
  return ENDPOINT_ERRORS.has(code) ? Blame.Endpoint : Blame.Node;
}

/** The event for the log about an error that is {@link Blame.Node}. */
export function nodeFailure(portal: ServedPortal, target: Target, code: number): DataplaneEvent {
  if (code === EMFILE) return { kind: 'descriptorsOut' };
  return { kind: 'nodeFailed', portal: portal.key, endpoint: target.name, reason: errnoName(code) };
}
