import type { DataplaneEvent } from '../dataplane/shared/messages.js';
import { natWarning } from '../dataplane/shared/participants.js';

/** What an endpoint's error means, if its name does not tell. */
const ENDPOINT_CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'no host has that address, or this node has an unreachable route to it',
  ENETUNREACH: 'no route of this node leads there',
  EACCES: 'this node has a prohibit route to it, or a packet filter refuses the way',
  EINVAL: 'this node has a blackhole route to it',
  EPERM: 'a policy of this node forbids it',
  'no answer to one client':
    'the endpoint is gone or has too much to do, or a NetworkPolicy forbids it to that client',
};

/** What an error of this node itself means, and what to do. */
const NODE_FAILURES: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL:
    'no local port is left towards the endpoint, or this node has no address of its family; widen net.ipv4.ip_local_port_range',
  EAGAIN: 'no local port is left; widen net.ipv4.ip_local_port_range',
  ENOSPC: 'this user has reached the number of files that epoll may watch; raise fs.epoll.max_user_watches',
  ENFILE: 'all programs together have reached the limit of open files; raise fs.file-max',
  ENOBUFS: 'the kernel has no memory for another socket',
  ENOMEM: 'the kernel has no memory for another socket',
};

/** Why the kernel does not carry, and what to do. */
const CARRIER_CAUSES: Readonly<Record<string, string>> = {
  'FORWARD policy':
    'the FORWARD chain of this node drops packets to the endpoint; let the firewall accept forwarded packets of pods',
  ENOMEM:
    'the table of tracked flows is full or the kernel has no memory; raise net.netfilter.nf_conntrack_max',
};

const SYNS_UNDECIDED =
  'more new TCP connections come than a worker can decide about: those that it cannot are relayed, so that their endpoint sees the address of this node; look for a flood of SYNs, give kube-portal more of the CPU, or raise --workers';
const DATAGRAMS_UNDECIDED =
  'more new UDP flows come than a worker can decide about: those that it cannot are relayed, so that their endpoint sees the address of this node; look for a flood of datagrams, give kube-portal more of the CPU, or raise --workers';
const STUCK =
  'a socket is ready and gives nothing but an error, again and again: kube-portal tries it ten times a second until the error ends; check whether a seccomp filter or a security module forbids the call, or the kernel lacks it';
const PORTS_SHORT =
  'local UDP ports towards the endpoint are nearly used up: flows that have their answer, such as DNS look-ups, end early; widen net.ipv4.ip_local_port_range';
const HOPS_USED_UP =
  'a client was not served: its traffic has gone through as many hops as allowed, most likely in a circle; look for an endpoint that leads back to this Service, through another node, a NodePort, a proxy or a rule';
const COPIES_LIMITED =
  'datagrams were dropped: with a copy for every endpoint, they would be more than --rtps-copies allows in a second; look for an endpoint that sends what it receives back to this Service, let data use another Service than discovery, or raise --rtps-copies';
const PARTICIPANTS_LIMITED =
  'a client address sends for more DDS participants than may have pins of their own: further ones share the pin of the address; look for a program that makes participants up, or give robots addresses of their own';
const CLIENT_LIMITED =
  'descriptors are nearly used up, and this client has the most connections: its new connections wait or are refused, and its idle connections end if other clients need descriptors; raise the hard limit of open files (LimitNOFILE)';
const DESCRIPTORS_OUT =
  'descriptors are used up: new connections wait; raise the hard limit of open files (LimitNOFILE)';

/** A line of the log: the message, and values beside it. */
export interface EventLine {
  readonly values: object;
  /** What happened, with the consequence, and what to do. */
  readonly message: string;
}

/** The line for an event of a worker. @param limit the current limit of open files */
export function lineOf(event: DataplaneEvent, limit: number): EventLine {
  const { kind, ...values } = event;
  switch (event.kind) {
    case 'endpointFailed': {
      const cause = ENDPOINT_CAUSES[event.reason];
      return { values: { ...values, cause }, message: 'endpoint failed; its clients move to another' };
    }
    case 'nodeFailed':
      return { values, message: `a client was not served: ${causeOf(event.reason)}` };
    case 'notCarried': {
      const cause = CARRIER_CAUSES[event.reason] ?? 'the kernel refused to track a connection';
      return { values, message: `clients are relayed, not carried by the kernel: ${cause}` };
    }
    case 'synsUndecided':
      return { values, message: SYNS_UNDECIDED };
    case 'datagramsUndecided':
      return { values, message: DATAGRAMS_UNDECIDED };
    case 'listenerWaits':
      return { values, message: `new clients wait: ${causeOf(event.reason)}` };
    case 'stuck':
      return { values, message: STUCK };
    case 'portsShort':
      return { values, message: PORTS_SHORT };
    case 'hopsUsedUp':
      return { values, message: HOPS_USED_UP };
    case 'clientBehindNat':
      return { values, message: `a DDS client ${natWarning(event.client, event.announced)}` };
    case 'participantsLimited':
      return { values, message: PARTICIPANTS_LIMITED };
    case 'copiesLimited':
      return { values, message: COPIES_LIMITED };
    case 'clientLimited':
      return { values: { ...values, limit }, message: CLIENT_LIMITED };
    case 'descriptorsOut':
      return { values: { limit }, message: DESCRIPTORS_OUT };
  }
}

function causeOf(reason: string): string {
  return NODE_FAILURES[reason] ?? 'this node failed, not the endpoint';
}
