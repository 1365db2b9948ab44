import type { ListenerSpec } from '../dataplane/listeners.js';
import { hostPort } from '../net/hostport.js';
import type { Protocol } from '../net/protocol.js';
import type { Vip } from '../portal/portal.js';
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, errnoName, type SysError } from '../sys/errno.js';
import type { WantedListener } from './wantedlisteners.js';

const NEEDS_CAPABILITY = 'ports below 1024 need the capability NET_BIND_SERVICE, or --redirect=iptables';
const NAMES = { proxyPort: 'proxy port', vip: 'VIP', nodePort: 'NodePort' } as const;

/** Why the kernel refused a listener, and what to do. */
export function explainRefusal(wanted: WantedListener, protocol: Protocol, error: SysError): string {
  const place = placeOf(wanted, protocol);
  switch (error.code) {
    case EADDRINUSE:
      return `${NAMES[wanted.kind]} ${place} is taken by another program; stop it (ss -lntup shows it) or change the Service; trying again`;
    case EACCES:
      return `cannot listen on ${place}: ${NEEDS_CAPABILITY}; trying again`;
    case EADDRNOTAVAIL:
      return `cannot listen on ${place}: this node has no such address; correct --bind-address or --nodeport-addresses; trying again`;
    default:
      return `cannot listen on ${place}: ${error.message}; trying again`;
  }
}

/** One of kube-portal's own servers listens there. The user must choose another port. */
export function explainOwnServer(wanted: WantedListener, protocol: Protocol): string {
  const place = placeOf(wanted, protocol);
  return `${NAMES[wanted.kind]} ${place} is a port of kube-portal itself; change the Service, its healthCheckNodePort, --healthz-bind-address or --metrics-bind-address`;
}

/**
 * The place is still a proxy port. The portal that has it must move to another first.
 * @param owner key of that portal
 */
export function explainProxyPort(wanted: WantedListener, protocol: Protocol, owner: string): string {
  return `${NAMES[wanted.kind]} ${placeOf(wanted, protocol)} is still the proxy port of ${owner}, which must move first; if this stays, give a wider --proxy-port-range; trying again`;
}

/**
 * The kernel refuses to choose the worker by the client's address.
 * @param code errno
 */
export function explainSteering({ protocol, ...place }: ListenerSpec, code: number): string {
  return `session affinity of ${placeOf(place, protocol)} does not hold: the kernel refuses to give each client one worker (SO_ATTACH_REUSEPORT_CBPF: ${errnoName(code)}), so that a client may meet several endpoints; free memory, or start with --workers=1; trying again`;
}

/**
 * The kernel refuses to set a filter, or to remove it.
 * @param heard see {@link setFilter}. Null: the filter was to be removed.
 * @param code errno
 */
export function explainFilter(
  { protocol, ...place }: ListenerSpec,
  heard: readonly string[] | null,
  code: number,
): string {
  const listener = placeOf(place, protocol);
  return heard === null
    ? `${listener} hears no clients: the kernel refuses to take its filter away (SO_DETACH_FILTER: ${errnoName(code)}); restart kube-portal; trying again`
    : `clients that ${listener} must ignore are refused instead: the kernel refuses its filter (SO_ATTACH_FILTER: ${errnoName(code)}); raise net.core.optmem_max; trying again`;
}

function placeOf({ address, port }: Vip, protocol: Protocol): string {
  return `${hostPort(address, port)}/${protocol}`;
}
