import type { Family } from '../net/address.js';
import { requireReachable } from './bindaddress.js';
import { clearIptables } from './cleariptables.js';
import type { RunCommand } from './command.js';
import { DisturbanceWatch } from './disturbance.js';
import {
  type Capture,
  type CarrierSupport,
  type PreparedChange,
  type Redirect,
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
} from './driver.js';
import { Failures } from './failures.js';
import type { FamilyRules } from './familyrules.js';
import { warnOfKubeProxy } from './kubeproxy.js';
import { clearLeftovers } from './leftovers.js';
import { OneChange } from './onechange.js';
import { type FamilyOptions, type OpenFamilies, openFamilies } from './openfamilies.js';
import { type Backend, findBackends, INSTALL_HINT } from './xtables.js';

export interface IptablesOptions extends FamilyOptions {
  readonly run: RunCommand;
}

/**
 * Redirects VIPs to proxy ports with netfilter's nat table. A change of any size is one `iptables-restore`
 * for each family. The driver works with both back ends of iptables. Of the matches it needs only tcp and
 * udp.
 */
export class IptablesDriver implements RedirectDriver {
  readonly name = 'iptables';
  readonly bringsTraffic = true;
  readonly #change = new OneChange();

  readonly #options: IptablesOptions;
  /** The first has our rules. Packets pass the rules of all. */
  readonly #backends: readonly Backend[];
  readonly #families: ReadonlyMap<Family, FamilyRules>;
  /** Null: the back end does not announce changes. */
  readonly #watch: DisturbanceWatch | null;

  /** The families that iptables does not work for on this node, each with the reason. */
  readonly missing: ReadonlyMap<Family, string>;
  readonly problems: readonly string[];

  private constructor(
    options: IptablesOptions,
    backends: readonly Backend[],
    { rules, missing, problems }: OpenFamilies,
    watch: DisturbanceWatch | null,
  ) {
    this.#options = options;
    this.#backends = backends;
    this.#families = rules;
    this.missing = missing;
    this.problems = problems;
    this.#watch = watch;
  }

  /**
   * Chooses the first back end that redirects a datagram.
   * @throws RedirectError if there is none, if iptables is not installed, or if nothing can be redirected to
   * the bind address
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
        const families = await openFamilies(backend, options);
        const others = backends.filter((other) => other !== backend);
        await clearOthers(others, options);
        const watch = DisturbanceWatch.open(backend, options.log);
        return new IptablesDriver(options, [backend, ...others], families, watch);
      } catch (error) {
        problems.push(`${backend.name}: ${(error as Error).message}`);
      }
    }
    throw new RedirectError(
      `iptables does not work on this node (${problems.join('; ')}): load the kernel's nat and REDIRECT modules and run as root, or use --redirect=address`,
    );
  }

  get unsupported(): Map<Family, string> {
    return new Map([...this.missing].map(([family, reason]) => [family, explainMissing(reason)]));
  }

  get dropsForwarded(): Record<Family, boolean> {
    const drops = (family: Family) => this.#backends.some((backend) => backend[family].dropsForwarded);
    return { IPv4: drops('IPv4'), IPv6: drops('IPv6') };
  }

  captureOf(): Capture {
    return 'port';
  }

  async openCarrier(): Promise<CarrierSupport> {
    // At the same time, as at the start.
    const [IPv4, IPv6] = await Promise.all([this.#openCarrierOf('IPv4'), this.#openCarrierOf('IPv6')]);
    this.#watch?.forget();
    return { IPv4, IPv6 };
  }

  async #openCarrierOf(family: Family): Promise<string | null> {
    const rules = this.#families.get(family);
    return rules === undefined ? (this.missing.get(family) ?? '') : rules.openCarrier(this.#options.carrier);
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

  /** @param failures collects what fails; it holds what has failed before the commit */
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
    await this.#readOthers();
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

  /** For {@link dropsForwarded}. An audit reads only the rules of our own back end. */
  async #readOthers(): Promise<void> {
    const [, ...others] = this.#backends;
    await Promise.allSettled(others.flatMap(({ IPv4, IPv6 }) => [IPv4.save(), IPv6.save()]));
  }

  wasDisturbed(): boolean {
    return this.#watch?.wasDisturbed() ?? false;
  }

  /** Clears both back ends: an earlier run may have used the other one. */
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

/** Rules that an earlier run left in another back end would still send VIPs to old proxy ports. */
async function clearOthers(backends: readonly Backend[], { log }: IptablesOptions): Promise<void> {
  for (const { name, IPv4, IPv6 } of backends) {
    for (const xtables of [IPv4, IPv6]) {
      await clearLeftovers(log, `the ${name} back end of ${xtables.family}`, xtables.clear());
    }
  }
}
