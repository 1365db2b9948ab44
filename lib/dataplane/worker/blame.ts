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

/** Whose fault it is that a connect or a send failed. */
export enum Blame {
  /** The endpoint is gone, or no way leads there: another endpoint may do. */
  Endpoint,
  /** This node is short of something, or its packet filter said no. The endpoint has done nothing. */
  Node,
  /** This datagram is too long for the path; shorter ones pass. */
  Datagram,
}

/**
 * The endpoint's own answer, one of a router on the way (what the kernel makes of ICMP: icmp_err_convert in
 * net/ipv4/icmp.c, tab_unreach in net/ipv6/icmp.c), or a route of this node that excludes it: unreachable
 * (EHOSTUNREACH), prohibit (EACCES), blackhole (EINVAL).
 */
const NO_WAY_THERE: ReadonlySet<number> = new Set([
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
 * Of an error of connect, or one that a socket has pending. EPERM is here a policy of this node about this
 * endpoint (a BPF program of its cgroup): TCP does not hear of packets that netfilter drops.
 */
export function blameForConnect(code: number): Blame {
  return NO_WAY_THERE.has(code) || code === EPERM ? Blame.Endpoint : Blame.Node;
}

/**
 * Of an error of sending a datagram. EPERM is here netfilter's drop: a rule of this node, or its conntrack
 * table is full.
 */
export function blameForSend(code: number): Blame {
  if (code === EMSGSIZE) return Blame.Datagram;
  return NO_WAY_THERE.has(code) ? Blame.Endpoint : Blame.Node;
}

/** What to tell the operator of an error that is {@link Blame.Node}. */
export function nodeFailure(portal: ServedPortal, target: Target, code: number): DataplaneEvent {
  if (code === EMFILE) return { kind: 'descriptorsOut' };
  return { kind: 'nodeFailed', portal: portal.key, endpoint: target.name, reason: errnoName(code) };
}
