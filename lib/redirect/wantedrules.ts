import { NONE } from '../model/compact.js';
import type { Family } from '../net/address.js';
import { ChainTree } from './chains.js';
import { type Redirect, RedirectError } from './driver.js';
import { keyOf, portKeyOf, portKeyspace, vipKeyspace } from './key.js';
import {
  CONTAINER_CHAIN,
  type Features,
  GUARD_CHAIN,
  GUARD_TOP,
  guardHooks,
  guardRule,
  HOST_CHAIN,
  type PortRange,
  redirectRule,
} from './rules.js';
import type { Ruleset, Table } from './ruleset.js';
import type { Entry } from './ruletree.js';

/** What the rules of a family depend on, beside its redirects. */
export interface RuleOptions {
  readonly family: Family;
  /** Where the proxy ports listen. */
  readonly bindAddress: string;
  readonly proxyPortRange: PortRange;
  readonly features: Features;
}

/** The entries of one redirect in the trees. */
interface RedirectEntries {
  readonly vips: readonly Entry[];
  readonly guarded: readonly Entry[];
  readonly proxyPort: number;
}

/** The redirects of one family, and the rules that they need. */
export class WantedRules {
  readonly #vips: ChainTree;
  readonly #guarded = new ChainTree(portKeyspace);
  readonly #entries = new Map<string, RedirectEntries>();
  /** Keys of the VIPs whose rules may have changed since the last call of {@link takeChangedVips}. */
  #changedVips = new Set<string>();

  readonly #options: RuleOptions;

  constructor(options: RuleOptions) {
    this.#options = options;
    this.#vips = new ChainTree(vipKeyspace(options.family));
  }

  /** Ids of the redirects. */
  get ids(): Iterable<string> {
    return this.#entries.keys();
  }

  /** @throws RedirectError for a VIP that is not an address */
  set(redirect: Redirect): void {
    const { proxyPort } = redirect;
    const entries = { vips: this.#vipEntries(redirect), guarded: this.#guardEntries(redirect), proxyPort };
    this.delete(redirect.id);
    for (const entry of entries.vips) {
      this.#vips.add(entry);
      this.#changedVips.add(entry.key);
    }
    for (const entry of entries.guarded) this.#guarded.add(entry);
    this.#entries.set(redirect.id, entries);
  }

  delete(id: string): void {
    const entries = this.#entries.get(id);
    if (entries === undefined) return;
    for (const entry of entries.vips) {
      this.#vips.delete(entry);
      this.#changedVips.add(entry.key);
    }
    for (const entry of entries.guarded) this.#guarded.delete(entry);
    this.#entries.delete(id);
  }

  clear(): void {
    for (const id of [...this.#entries.keys()]) this.delete(id);
  }

  /** Keys of the VIPs whose rules may have changed since the last call. */
  takeChangedVips(): ReadonlySet<string> {
    const changed = this.#changedVips;
    this.#changedVips = new Set();
    return changed;
  }

  /** From now on every VIP counts as changed. */
  markAllChanged(): void {
    for (const { vips } of this.#entries.values()) for (const { key } of vips) this.#changedVips.add(key);
  }

  /** The proxy port that serves the VIP with this key; null: no redirect has the VIP. */
  proxyPortOf(key: string): number | null {
    const entry = this.#vips.find(key);
    return entry === undefined ? null : (this.#entries.get(entry.id)?.proxyPort ?? null);
  }

  /** All rules that the kernel must hold for these redirects. */
  ruleset(): Ruleset {
    const entrance = this.#vips.entrance();
    const chains = this.#vips.chains().with(
      new Map([
        [CONTAINER_CHAIN, entrance],
        [HOST_CHAIN, entrance],
      ]),
    );
    const hooks = new Map([
      ['PREROUTING', [`-j ${CONTAINER_CHAIN}`]],
      ['OUTPUT', [`-j ${HOST_CHAIN}`]],
    ]);
    return new Map([
      ['nat', { chains, hooks }],
      ['filter', this.#guard()],
    ]);
  }

  /**
   * The guard stays even if there is no port to guard. Connections are tracked only as long as a rule needs
   * it (nf_ct_netns_get). Without tracking, open connections would lose their translation when the last VIP
   * goes, and would not learn that they have ended.
   */
  #guard(): Table {
    if (this.#options.features.guard === null) return { chains: new Map(), hooks: new Map() };
    const guard = [...GUARD_TOP, ...this.#guarded.entrance()];
    return {
      chains: this.#guarded.chains().with(new Map([[GUARD_CHAIN, guard]])),
      hooks: new Map([['INPUT', guardHooks(this.#options.proxyPortRange)]]),
    };
  }

  #guardEntries({ id, protocol, proxyPort }: Redirect): readonly Entry[] {
    const { family, features } = this.#options;
    if (protocol !== 'UDP' || features.guard === null) return NONE;
    return [{ key: portKeyOf(proxyPort), id, rule: guardRule(family, proxyPort, features.guard) }];
  }

  #vipEntries(redirect: Redirect): Entry[] {
    const { bindAddress, features } = this.#options;
    try {
      return redirect.vips.map((vip) => ({
        key: keyOf(vip.address, redirect.protocol, vip.port),
        id: redirect.id,
        rule: redirectRule(redirect, vip, bindAddress, features),
      }));
    } catch (error) {
      throw new RedirectError(
        `${redirect.label}: ${(error as Error).message}; correct the Service's addresses`,
      );
    }
  }
}
