import { readFileSync } from 'node:fs';

/**
 * Whether a setting of connection tracking is on in this network namespace, see nf_conntrack-sysctl.rst of
 * the kernel. False if the kernel does not have it.
 * @param name `acct`: flows have counters. `events`: programs can hear of flows that begin or end.
 */
export function isConntrackSettingOn(name: 'acct' | 'events'): boolean {
  try {
    return readFileSync(`/proc/sys/net/netfilter/nf_conntrack_${name}`, 'latin1').trim() !== '0';
  } catch {
    return false;
  }
}
