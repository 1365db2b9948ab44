import { readFile } from 'node:fs/promises';
import { type Family, familyOf } from '../net/address.js';
import { EADDRNOTAVAIL, errnoName } from '../sys/errno.js';
import { type DeviceAddress, RouteSocket } from '../sys/netlink/rtnetlink.js';
import { RedirectError } from './driver.js';

const IPV6_ADVICE = 'enable IPv6 on lo (sysctl -w net.ipv6.conf.lo.disable_ipv6=0)';

/** @throws RedirectError */
export function openRoutes(): RouteSocket {
  try {
    return new RouteSocket();
  } catch (error) {
    throw new RedirectError(`cannot talk to the kernel about addresses (${(error as Error).message})`);
  }
}

/**
 * The addresses of the loopback device that kube-portal added. If the kernel cannot tell who added an address
 * (IPv6 before Linux 5.18), the record decides.
 */
export function oursAmong(all: readonly DeviceAddress[], recorded: ReadonlySet<string>): string[] {
  return all
    .filter(({ address, ours }) => ours === 'yes' || (ours === 'maybe' && recorded.has(address)))
    .map(({ address }) => address);
}

/**
 * Removes these addresses. An address that is not there any more counts as removed.
 * @throws RedirectError
 */
export async function removeFromLoopback(routes: RouteSocket, addresses: readonly string[]): Promise<void> {
  const failures = await routes.removeFromLoopback(addresses);
  const real = failures.find(({ code }) => code !== EADDRNOTAVAIL);
  if (real === undefined) return;
  throw new RedirectError(
    `cannot remove ${real.address} from the loopback device: ${errnoName(real.code)}; run as root`,
  );
}

/**
 * The families whose addresses this node's loopback device cannot have, each with the reason and what to do.
 * A kernel without IPv6 has no such file. If IPv6 is disabled on the device, the kernel adds no address.
 */
export async function unsupportedByAddress(): Promise<Map<Family, string>> {
  const disabled = await readFile('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8').catch(() => '1');
  if (disabled.trim() === '0') return new Map();
  return new Map([
    ['IPv6', `this node has no IPv6 on its loopback device; ${IPV6_ADVICE}, then start again`],
  ]);
}

/** What to do if the kernel refuses to add an address. */
export function adviceFor(address: string): string {
  return familyOf(address) === 'IPv6' ? `run as root; ${IPV6_ADVICE}` : 'run as root';
}
