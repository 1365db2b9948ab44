import type { Logger } from 'pino';
import { FAMILIES, type Family } from '../net/address.js';
import { requireReachable } from './bindaddress.js';
import { ProgramHung, type RunCommand } from './command.js';
import { DisturbanceWatch } from './disturbance.js';
import {
  type Capture,
  type PreparedChange,
  type Redirect,
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
} from './driver.js';
import { Failures } from './failures.js';
import { FamilyRules } from './familyrules.js';
import { warnOfKubeProxy } from './kubeproxy.js';
import { clearLeftovers } from './leftovers.js';
import { OneChange } from './onechange.js';
import { probe } from './probe.js';
import type { Features, PortRange } from './rules.js';
import { StaleFlows } from './staleflows.js';
import { type Backend, type BackendName, findBackends, INSTALL_HINT, Xtables } from './xtables.js';

export interface IptablesOptions {
  readonly log: Logger;
  /** Where the proxy ports listen; REDIRECT serves a wildcard, DNAT one address. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  readonly proxyPortRange: PortRange;
  readonly run: RunCommand;
}

/**
 * Redirects VIPs to proxy ports with netfilter's nat table. Each change is one `iptables-restore` for a
 * family, whatever its size. It works with either back end of iptables,
 * and without any match but tcp and udp.
 */
export class IptablesDriver implements RedirectDriver {
  readonly name = 'iptables';
  readonly bringsTraffic = true;
  readonly #change = new OneChange();

  readonly #options: IptablesOptions;
  readonly #families: ReadonlyMap<Family, FamilyRules>;
  /** Null where the back end announces nothing. */
  readonly #watch: DisturbanceWatch | null;

  private constructor(
    options: IptablesOptions,
    families: ReadonlyMap<Family, FamilyRules>,
    /** Families that iptables does not work for on this node, each with why. */
    readonly missing: ReadonlyMap<Family, string>,
    readonly problems: readonly string[],
    watch: DisturbanceWatch | null,
  ) {
    this.#options = options;
    this.#families = families;
    this.#watch = watch;
  }

  /**
   * Chooses a back end that really redirects.
   * @throws RedirectError if there is none, iptables is not installed,
   * or nothing can be redirected to the bind address
   */
  static async open(options: IptablesOptions): Promise<IptablesDriver> {
    requireReachable(options.bindAddress);
    const backends = await findBackends(options.run);
    warnOfKubeProxy(options.log, backends);
    if (backends.length === 0)
      throw new RedirectError(`iptables is not installed: ${INSTALL_HINT}, or use --redirect=address`);
    const problems: string[] = [];
    for (const backend of backends) {
      try {
        const driver = await IptablesDriver.#use(backend, options);
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

  static async #use(backend: Backend, options: IptablesOptions): Promise<IptablesDriver> {
    const families = new Map<Family, FamilyRules>();
    const missing = new Map<Family, string>();
    const problems: string[] = [];
    const staleFlows = new StaleFlows(options.log);
    const { bindAddress, proxyPortRange } = options;
    const use = (family: Family, features: Features) => {
      const rules = { family, bindAddress: bindAddress[family], proxyPortRange, features, staleFlows };
      families.set(family, new FamilyRules(backend[family], rules));
      options.log.info({ backend: backend.name, family, ...features }, 'iptables redirects work');
      if (features.guard === null) {
        problems.push(noGuard(family, proxyPortRange));
        options.log.warn(problems.at(-1));
      }
    };
    // Both at once: most of a start is waiting for these programs, and nobody serves the node meanwhile.
    const [IPv4, IPv6] = await Promise.allSettled([
      probe(backend.IPv4, bindAddress.IPv4),
      probe(backend.IPv6, bindAddress.IPv6),
    ]);
    if (IPv4.status === 'rejected') throw IPv4.reason;
    use('IPv4', IPv4.value);
    if (IPv6.status === 'fulfilled') use('IPv6', IPv6.value);
    else {
      missing.set('IPv6', (IPv6.reason as Error).message);
      const where = `the ${backend.name} back end of IPv6`;
      await clearLeftovers(options.log, where, backend.IPv6.clear());
    }
    return new IptablesDriver(
      options,
      families,
      missing,
      problems,
      DisturbanceWatch.open(backend, options.log),
    );
  }

  get unsupported(): Map<Family, string> {
    return new Map([...this.missing].map(([family, reason]) => [family, explainMissing(reason)]));
  }

  captureOf(): Capture {
    return 'port';
  }

  async prepare({ set, remove }: RedirectChange): Promise<PreparedChange> {
    this.#change.begin();
    const failures = new Failures();
    for (const id of remove) for (const rules of this.#families.values()) rules.delete(id);
    for (const redirect of set) {
      await failures.attempt([redirect.id], () => this.#families.get(redirect.family)?.set(redirect));
    }
    return this.#change.prepared(() => this.#program(set, failures));
  }

  /** @param failures what has failed already */
  async #program(set: readonly Redirect[], failures: Failures): Promise<void> {
    for (const [family, rules] of this.#families) {
      const ids = set.filter((redirect) => redirect.family === family).map(({ id }) => id);
      await failures.attempt(ids, () => rules.program());
    }
    this.#watch?.forget();
    failures.throwIfAny();
  }

  async audit(): Promise<number> {
    this.#change.end();
    const failures = new Failures();
    let count = 0;
    for (const rules of this.#families.values()) {
      await failures.attempt(rules.ids, async () => {
        count += await rules.audit();
      });
    }
    this.#watch?.forget();
    failures.throwIfAny();
    return count;
  }

  wasDisturbed(): boolean {
    return this.#watch?.wasDisturbed() ?? false;
  }

  /** Both back ends are cleared: the node may have changed its own between two runs. */
  async clear(): Promise<void> {
    try {
      await clearIptables(this.#options.run);
    } finally {
      for (const rules of this.#families.values()) await rules.forget();
    }
  }
}

function explainMissing(reason: string): string {
  return (
    `ip6tables does not work here (${reason}); load the kernel's IPv6 nat module, or enable IPv6 on lo ` +
    '(sysctl -w net.ipv6.conf.lo.disable_ipv6=0) and use --redirect=auto; then start again'
  );
}

function noGuard(family: Family, { first, last }: PortRange): string {
  return (
    `the kernel has no filter table or no conntrack match (xt_conntrack) for ${family}: redirected traffic is not let through ` +
    `a host firewall, and UDP proxy ports answer who comes to them directly; open ports ${first}-${last} in the firewall`
  );
}

/** What an earlier run left in a back end that the node has given up would still send VIPs to old ports. */
async function clearStale(backends: readonly Backend[], { log }: IptablesOptions): Promise<void> {
  for (const { name, IPv4, IPv6 } of backends) {
    for (const xtables of [IPv4, IPv6]) {
      await clearLeftovers(log, `the ${name} back end of ${xtables.family}`, xtables.clear());
    }
  }
}

/**
 * Removes our rules from every back end that is installed, from both at once:
 * what hangs with one does not hang with the other.
 * @returns the number of chains and jumps removed
 * @throws RedirectError after trying all of them
 */
export async function clearIptables(run: RunCommand): Promise<number> {
  const cleared = await Promise.all([clearBackend('nft', run), clearBackend('legacy', run)]);
  // Where neither has a name of its own.
  if (!cleared.some(({ isInstalled }) => isInstalled)) cleared.push(await clearBackend('system', run));
  const failures = cleared.flatMap((backend) => backend.failures);
  if (failures.length > 0) throw new RedirectError(failures.join('; '));
  return cleared.reduce((sum, { count }) => sum + count, 0);
}

interface Cleared {
  readonly isInstalled: boolean;
  readonly count: number;
  readonly failures: readonly string[];
}

async function clearBackend(backend: BackendName, run: RunCommand): Promise<Cleared> {
  const failures: string[] = [];
  let isInstalled = false;
  let count = 0;
  for (const family of FAMILIES) {
    try {
      const removed = await new Xtables(backend, family, run).clear();
      isInstalled ||= removed !== null;
      count += removed ?? 0;
    } catch (error) {
      isInstalled = true;
      failures.push((error as Error).message);
      // The programs of both families are one and the same.
      if (error instanceof ProgramHung) break;
    }
  }
  return { isInstalled, count, failures };
}
