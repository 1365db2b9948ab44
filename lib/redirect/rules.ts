import { addressBytes, addressText, type Family } from '../net/address.js';
import { hostPort } from '../net/hostport.js';
import type { Vip } from '../portal/portal.js';
import type { Redirect } from './driver.js';

/**
 * The texts of our rules, as `iptables-save` prints them after the chain's name. So wanted rules and the
 * rules in the kernel can be compared as text.
 */

/** The names of all our chains begin like this, in every table. No other chain's name may. */
const OWN_CHAIN = 'KUBE-PORTAL';

/** For packets that come from pods and other hosts. */
export const CONTAINER_CHAIN = 'KUBE-PORTALS-CONTAINER';
/** For packets that programs of this node send. */
export const HOST_CHAIN = 'KUBE-PORTALS-HOST';
export const GUARD_CHAIN = 'KUBE-PORTALS-GUARD';
/** Exists only while a probe runs. */
export const PROBE_CHAIN = 'KUBE-PORTALS-PROBE';

const JUMP_TO_OWN = new RegExp(`(?:^| )-[jg] ${OWN_CHAIN}`);

export function isOwnChain(chain: string): boolean {
  return chain.startsWith(OWN_CHAIN);
}

export function jumpsToOwnChain(rule: string): boolean {
  return JUMP_TO_OWN.test(rule);
}

/** Optional parts of netfilter. Required are nat, the matches tcp and udp, and REDIRECT or DNAT. */
export interface Features {
  /** The match xt_comment. */
  readonly comment: boolean;
  /** How the guard refuses. Null: there is no guard, as the filter table or xt_conntrack is missing. */
  readonly guard: 'REJECT' | 'DROP' | null;
}

/**
 * The target that sends a packet to a proxy port. REDIRECT sends it to the address of the interface on which
 * it came in, where a wildcard listener answers. A listener on one address needs DNAT.
 */
export function targetRule(bindAddress: string, port: number): string {
  const bytes = addressBytes(bindAddress);
  if (bytes.every((byte) => byte === 0)) return `-j REDIRECT --to-ports ${port}`;
  return `-j DNAT --to-destination ${hostPort(addressText(bytes), port)}`;
}

/**
 * `-d 10.96.0.10/32 -p tcp -m tcp --dport 80 -m comment --comment "default/web:http" -j REDIRECT --to-ports
 * 41000`
 */
export function redirectRule(redirect: Redirect, vip: Vip, bindAddress: string, features: Features): string {
  const bytes = addressBytes(vip.address);
  const protocol = redirect.protocol.toLowerCase();
  // Joined: V8 keeps the result of join as one flat string, but a template as a tree of its parts.
  return [
    `-d ${addressText(bytes)}/${bytes.length * 8} -p ${protocol} -m ${protocol} --dport ${vip.port}`,
    ...(features.comment ? [`-m comment --comment "${commentText(redirect.label)}"`] : []),
    targetRule(bindAddress, redirect.proxyPort),
  ].join(' ');
}

/** The kernel's limit is 255 bytes. Kubernetes names have no characters that must be escaped. */
function commentText(label: string): string {
  return label.replace(/[^\w/:. -]/g, '_').slice(0, 255);
}

/**
 * The first rules of the guard. Redirected packets are accepted before the rules of a host firewall (ufw,
 * firewalld): the firewall would see only a proxy port, which nobody has opened. Answers to this node's own
 * programs continue to the firewall's rules.
 */
export const GUARD_TOP = [
  '-m conntrack --ctstate DNAT -j ACCEPT',
  '-m conntrack --ctstate ESTABLISHED -j RETURN',
] as const;

/** Refuses datagrams that clients sent to the proxy port and not to a VIP. */
export function guardRule(family: Family, port: number, verdict: 'REJECT' | 'DROP'): string {
  const match = ports('udp', { first: port, last: port });
  if (verdict === 'DROP') return `${match} -j DROP`;
  return `${match} -j REJECT --reject-with ${family === 'IPv4' ? 'icmp' : 'icmp6'}-port-unreachable`;
}

/** The jumps to the guard, for all ports of the proxy port range. */
export function guardHooks(range: PortRange): string[] {
  return (['udp', 'tcp'] as const).map((protocol) => `${ports(protocol, range)} -j ${GUARD_CHAIN}`);
}

/** Both ends are inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

function ports(protocol: 'tcp' | 'udp', { first, last }: PortRange): string {
  return `-p ${protocol} -m ${protocol} --dport ${first === last ? first : `${first}:${last}`}`;
}
