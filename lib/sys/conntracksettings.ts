import { readFileSync } from 'node:fs';

/**
 * Whether a setting of connection tracking is on in this network namespace. False if the kernel does not have
 * it.
 * @param name `acct`: flows have counters. `events`: programs can hear of flows that begin or end.
 */
export function isConntrackSettingOn(name: 'acct' | 'events'): boolean {
  return (conntrackSetting(name) ?? 0) !== 0;
}

/**
 * The value of a setting of connection tracking in this network namespace, see nf_conntrack-sysctl.rst of the
 * kernel. Null if the kernel does not have it, or does not show it.
 * @param name for example `udp_timeout`, in seconds
 */
export function conntrackSetting(name: string): number | null {
  try {
    return Number(readFileSync(`/proc/sys/net/netfilter/nf_conntrack_${name}`, 'latin1'));
  } catch {
    return null;
  }
}
