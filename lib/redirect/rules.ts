import { addressBytes, addressText } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Vip } from '../portal/portal.js';
import type { Redirect } from './driver.js';

/**
 * What the texts of our rules have in common. They are as `iptables-save` prints them after the chain's name.
 * So wanted rules and the rules in the kernel can be compared as text.
 */

/** The names of all our chains begin like this, in every table. No other chain's name may. */
const OWN_CHAIN = 'KUBE-PORTAL';
/** For first packets of TCP connections, which wait for a worker before the kernel tracks them. */
export const SYN_CHAIN = 'KUBE-PORTALS-SYN';
/** For first datagrams of UDP flows, which wait for a worker after the kernel has begun to track them. */
export const DATAGRAM_CHAIN = 'KUBE-PORTALS-UDP';
/** Where packets wait for a worker. */
export const WAITING_CHAINS: readonly string[] = [SYN_CHAIN, DATAGRAM_CHAIN];
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
 * What happens to packets for a VIP of a redirect: `-d 10.96.0.10/32 -p tcp -m tcp --dport 80 -m comment
 * --comment "default/web:http" -j REDIRECT --to-ports 41000`.
 * @throws TypeError if the VIP is not an address
 */
export function vipRule(
  { label, protocol }: Redirect,
  vip: Vip,
  { comment }: Features,
  target: string,
): string {
  const bytes = addressBytes(vip.address);
  // Joined: V8 keeps the result of join as one flat string, but a template as a tree of its parts.
  return [
    `-d ${addressText(bytes)}/${bytes.length * 8}`,
    portMatch(protocol, { first: vip.port, last: vip.port }),
    ...(comment ? [`-m comment --comment "${commentText(label)}"`] : []),
    target,
  ].join(' ');
}

/** The kernel's limit is 255 bytes. Kubernetes names have no characters that must be escaped. */
function commentText(label: string): string {
  return label.replace(/[^\w/:. -]/g, '_').slice(0, 255);
}

/** A mark or its mask. */
export function hex(bits: number): string {
  return `0x${bits.toString(16)}`;
}

/** Both ends are inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Matches packets to these ports. */
export function portMatch(protocol: Protocol, { first, last }: PortRange): string {
  const name = protocol.toLowerCase();
  return `-p ${name} -m ${name} --dport ${first === last ? first : `${first}:${last}`}`;
}
