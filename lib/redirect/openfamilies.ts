import type { Logger } from 'pino';
import type { Family } from '../net/address.js';
import { type CarrierNumbers, ownBit } from '../portal/carrier.js';
import { CarriedFlows } from './carriedflows.js';
import { FamilyRules, type RuledFlows } from './familyrules.js';
import { clearLeftovers } from './leftovers.js';
import { probe } from './probe.js';
import type { PortRange } from './rules.js';
import { StaleFlows } from './staleflows.js';
import { TrackedFlows } from './trackedflows.js';
import type { Backend } from './xtables.js';

export interface FamilyOptions {
  readonly log: Logger;
  /** Where the proxy ports listen. A wildcard is served by REDIRECT, one address by DNAT. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  readonly proxyPortRange: PortRange;
  /** By these numbers the kernel finds what workers have let it carry. */
  readonly carrier: CarrierNumbers;
}

/** What one back end of iptables can do on this node. */
export interface OpenFamilies {
  /** The rules of each family that the back end works for. */
  readonly rules: ReadonlyMap<Family, FamilyRules>;
  /** The families that it does not work for, each with the reason. */
  readonly missing: ReadonlyMap<Family, string>;
  /** Sentences about what the kernel lacks, each with the consequence and what to do. */
  readonly problems: readonly string[];
}

/**
 * Tries a back end for both families.
 * @throws RedirectError if it does not work for IPv4
 */
export async function openFamilies(backend: Backend, options: FamilyOptions): Promise<OpenFamilies> {
  const { log, bindAddress, proxyPortRange, carrier } = options;
  const rules = new Map<Family, FamilyRules>();
  const missing = new Map<Family, string>();
  const problems: string[] = [];
  const flows = ruledFlows(log, carrier);
  // At the same time: a start mostly waits for these programs, and until then nothing serves the node.
  const [IPv4, IPv6] = await Promise.allSettled([
    probe(backend.IPv4, bindAddress.IPv4),
    probe(backend.IPv6, bindAddress.IPv6),
  ]);
  for (const [family, probed] of [
    ['IPv4', IPv4],
    ['IPv6', IPv6],
  ] as const) {
    if (probed.status === 'rejected') {
      if (family === 'IPv4') throw probed.reason;
      missing.set(family, (probed.reason as Error).message);
      await clearLeftovers(log, `the ${backend.name} back end of ${family}`, backend[family].clear());
      continue;
    }
    const features = probed.value;
    const ruleOptions = { family, bindAddress: bindAddress[family], proxyPortRange, features };
    rules.set(family, new FamilyRules(backend[family], flows, ruleOptions));
    log.info({ backend: backend.name, family, ...features }, 'iptables redirects work');
    if (features.guard === null) problems.push(describeMissingGuard(family, proxyPortRange));
  }
  for (const problem of problems) log.warn(problem);
  return { rules, missing, problems };
}

function ruledFlows(log: Logger, { markMask }: CarrierNumbers): RuledFlows {
  const flows = new TrackedFlows(log);
  const own = ownBit(markMask);
  return { stale: new StaleFlows(flows, own), carried: new CarriedFlows(flows, own) };
}

function describeMissingGuard(family: Family, { first, last }: PortRange): string {
  return (
    `the kernel has no filter table or no conntrack match (xt_conntrack) for ${family}: a host firewall may drop redirected ` +
    `traffic, and clients can use UDP proxy ports directly; open ports ${first}-${last} in the firewall`
  );
}
