import type { Logger } from 'pino';
import type { Family } from '../model/portal.js';
import type { RunCommand } from './command.js';
import { type Redirect, type RedirectChange, type RedirectDriver, RedirectError } from './driver.js';
import { FamilyRules } from './familyrules.js';
import { probe } from './probe.js';
import type { PortRange } from './rules.js';
import { allXtables, type Backend, findBackends, INSTALL_HINT } from './xtables.js';

export interface IptablesOptions {
  readonly log: Logger;
  /** Where the proxy ports listen; REDIRECT serves a wildcard, DNAT one address. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  readonly proxyPortRange: PortRange;
  readonly run: RunCommand;
}

/**
 * Redirects VIPs to proxy ports with netfilter's nat table. Each change is one `iptables-restore` for a family,
 * whatever its size. It works with either back end of iptables, and without any match but tcp and udp.
 */
export class IptablesDriver implements RedirectDriver {
  readonly name = 'iptables';
  readonly capture = 'port';

  private constructor(
    private readonly options: IptablesOptions,
    private readonly families: ReadonlyMap<Family, FamilyRules>,
    /** Why IPv6 is not among the families. */
    private readonly ipv6Problem: string,
  ) {}

  /**
   * Chooses a back end that really redirects.
   * @throws RedirectError if there is none, or iptables is not installed
   */
  static async open(options: IptablesOptions): Promise<IptablesDriver> {
    const backends = await findBackends(options.run);
    if (backends.length === 0) throw new RedirectError(`iptables is not installed: ${INSTALL_HINT}`);
    const problems: string[] = [];
    for (const backend of backends) {
      try {
        const driver = await IptablesDriver.use(backend, options);
        await clearStale(
          backends.filter((other) => other !== backend),
          options,
        );
        return driver;
      } catch (error) {
        problems.push(`${backend.name}: ${(error as Error).message}`);
      }
    }
    throw new RedirectError(
      `iptables does not work on this node (${problems.join('; ')}): load the kernel's nat and REDIRECT modules and run as root, or use --redirect=address`,
    );
  }

  private static async use(backend: Backend, options: IptablesOptions): Promise<IptablesDriver> {
    const families = new Map<Family, FamilyRules>();
    const prepare = async (family: Family) => {
      const bindAddress = options.bindAddress[family];
      const features = await probe(backend[family], bindAddress);
      const { proxyPortRange } = options;
      families.set(
        family,
        new FamilyRules(backend[family], { family, bindAddress, proxyPortRange, features }),
      );
      options.log.info({ backend: backend.name, family, ...features }, 'iptables redirects work');
    };
    await prepare('IPv4');
    let ipv6Problem = '';
    try {
      await prepare('IPv6');
    } catch (error) {
      ipv6Problem = (error as Error).message;
      options.log.warn({ reason: ipv6Problem }, 'IPv6 VIPs cannot be redirected on this node; IPv4 works');
    }
    return new IptablesDriver(options, families, ipv6Problem);
  }

  async apply(change: RedirectChange): Promise<void> {
    const failures: string[] = [];
    for (const id of change.remove) for (const rules of this.families.values()) rules.delete(id);
    for (const redirect of change.set) {
      try {
        this.families.get(redirect.family)?.set(redirect);
      } catch (error) {
        failures.push((error as Error).message);
      }
    }
    for (const rules of this.families.values()) {
      await rules.program().catch((error: Error) => failures.push(error.message));
    }
    const stranded = change.set.filter((redirect) => !this.families.has(redirect.family));
    if (stranded.length > 0) failures.push(this.strandedMessage(stranded));
    if (failures.length > 0) throw new RedirectError(failures.join('; '));
  }

  async audit(): Promise<number> {
    let count = 0;
    for (const rules of this.families.values()) count += await rules.audit();
    return count;
  }

  /** Both back ends are cleared: the node may have changed its own between two runs. */
  async clear(): Promise<void> {
    for (const rules of this.families.values()) rules.forget();
    await clearIptables(this.options.run);
  }

  private strandedMessage(redirects: readonly Redirect[]): string {
    const labels = redirects.slice(0, 3).map((redirect) => redirect.label);
    const rest = redirects.length > labels.length ? ` and ${redirects.length - labels.length} more` : '';
    return `the IPv6 VIPs of ${labels.join(', ')}${rest} are not reachable, as ip6tables does not work here (${this.ipv6Problem}); load the kernel's IPv6 nat module, or use --redirect=address`;
  }
}

/** What an earlier run left in a back end that the node has given up would still send VIPs to old ports. */
async function clearStale(backends: readonly Backend[], { log }: IptablesOptions): Promise<void> {
  for (const backend of backends) {
    for (const xtables of [backend.IPv4, backend.IPv6]) {
      try {
        const count = await xtables.clear();
        if (count > 0) log.info({ backend: backend.name, count }, 'removed rules left in the other back end');
      } catch (error) {
        log.warn({ backend: backend.name, reason: (error as Error).message }, 'cannot look for old rules');
      }
    }
  }
}

/**
 * Removes our rules from every back end that is installed.
 * @returns the number of chains and jumps removed
 * @throws RedirectError after trying all of them
 */
export async function clearIptables(run: RunCommand): Promise<number> {
  const failures: string[] = [];
  let count = 0;
  for (const xtables of allXtables(run)) {
    try {
      count += await xtables.clear();
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  if (failures.length > 0) throw new RedirectError(failures.join('; '));
  return count;
}
