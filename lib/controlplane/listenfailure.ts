import type { Protocol } from '../model/portal.js';
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, type SysError } from '../sys/errno.js';

/** A place that a portal wants to listen on. */
export interface WantedListener {
  readonly address: string;
  readonly port: number;
  readonly kind: 'proxyPort' | 'vip' | 'nodePort';
}

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

/** The program's own servers are there: neither stopping it nor waiting helps. */
export function explainOwnServer(wanted: WantedListener, protocol: Protocol): string {
  const place = placeOf(wanted, protocol);
  return `${NAMES[wanted.kind]} ${place} is a port of kube-portal itself; change the Service, its healthCheckNodePort, --healthz-bind-address or --metrics-bind-address`;
}

/** A proxy port that could not move. @param owner key of the portal that has it */
export function explainProxyPort(wanted: WantedListener, protocol: Protocol, owner: string): string {
  return `${NAMES[wanted.kind]} ${placeOf(wanted, protocol)} is still the proxy port of ${owner}, which must move first; if this stays, give a wider --proxy-port-range; trying again`;
}

function placeOf({ address, port }: WantedListener, protocol: Protocol): string {
  return `${hostPort(address, port)}/${protocol}`;
}

/** `10.96.0.10:80`, `[fd00::10]:80`. */
export function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
