import { addressBytes, addressText, type Family } from '../net/address.js';
import { hostPort } from '../net/hostport.js';
import type { Vip } from '../portal/portal.js';
import type { Redirect } from './driver.js';

/**
 * The texts of our rules, each exactly as `iptables-save` prints it after the chain's name. So what is
 * wanted and what the kernel holds can be compared as text.
 */

/** Every chain of ours begins like this, in every table; nothing else may. */
const OWN_CHAIN = 'KUBE-PORTAL';

/** Met by what comes from pods and other hosts. */
export const CONTAINER_CHAIN = 'KUBE-PORTALS-CONTAINER';
/** Met by what this node's own programs send. */
export const HOST_CHAIN = 'KUBE-PORTALS-HOST';
export const GUARD_CHAIN = 'KUBE-PORTALS-GUARD';
/** Lives for moments only, while a probe runs. */
export const PROBE_CHAIN = 'KUBE-PORTALS-PROBE';

const JUMP_TO_OWN = new RegExp(`(?:^| )-[jg] ${OWN_CHAIN}`);

export function isOwnChain(chain: string): boolean {
  return chain.startsWith(OWN_CHAIN);
}

export function jumpsToOwnChain(rule: string): boolean {
  return JUMP_TO_OWN.test(rule);
}

/** What the kernel's netfilter has beyond the required: nat, the tcp and udp matches, REDIRECT or DNAT. */
export interface Features {
  /** xt_comment. */
  readonly comment: boolean;
  /** How the guard refuses, null where the filter table or xt_conntrack is missing, and with it the guard. */
  readonly guard: 'REJECT' | 'DROP' | null;
}

/**
 * The target that brings a packet to a proxy port. REDIRECT goes to the address of the interface that the
 * packet came in on, which a wildcard listener answers; a listener on one address needs DNAT.
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
  // Joined to be one flat string: thousands are kept, and a template leaves a chain of its parts.
  return [
    `-d ${addressText(bytes)}/${bytes.length * 8} -p ${protocol} -m ${protocol} --dport ${vip.port}`,
    ...(features.comment ? [`-m comment --comment "${commentText(redirect.label)}"`] : []),
    targetRule(bindAddress, redirect.proxyPort),
  ].join(' ');
}

/** The kernel's limit is 255 bytes; what would need escaping cannot be in a Kubernetes name anyway. */
function commentText(label: string): string {
  return label.replace(/[^\w/:. -]/g, '_').slice(0, 255);
}

/**
 * At the guard's top. What was redirected is let in whatever the rules after ours say: host firewalls (ufw,
 * firewalld) know the VIP no more, only a proxy port that nobody has opened. Answers to this node's own
 * programs go on to those rules.
 */
export const GUARD_TOP = [
  '-m conntrack --ctstate DNAT -j ACCEPT',
  '-m conntrack --ctstate ESTABLISHED -j RETURN',
] as const;

/** Refuses datagrams that were sent to a proxy port itself, not to a VIP. */
export function guardRule(family: Family, port: number, verdict: 'REJECT' | 'DROP'): string {
  const match = ports('udp', { first: port, last: port });
  if (verdict === 'DROP') return `${match} -j DROP`;
  return `${match} -j REJECT --reject-with ${family === 'IPv4' ? 'icmp' : 'icmp6'}-port-unreachable`;
}

/** The jumps to the guard, for the range that proxy ports come from. */
export function guardHooks(range: PortRange): string[] {
  return (['udp', 'tcp'] as const).map((protocol) => `${ports(protocol, range)} -j ${GUARD_CHAIN}`);
}

/** Inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

function ports(protocol: 'tcp' | 'udp', { first, last }: PortRange): string {
  return `-p ${protocol} -m ${protocol} --dport ${first === last ? first : `${first}:${last}`}`;
}
