import type { Family } from '../net/address.js';
import { type Redirect, RedirectError } from './driver.js';
import { filterEntries, filterTable } from './filtertable.js';
import { portKeyspace, vipKeyspace } from './key.js';
import { natEntries, natTable } from './nattable.js';
import { RedirectTree } from './redirecttree.js';
import type { Features, PortRange } from './rules.js';
import type { Ruleset, Table } from './ruleset.js';

/** What the rules of a family depend on, beside its redirects. */
export interface RuleOptions {
  readonly family: Family;
  /** Where the proxy ports listen. */
  readonly bindAddress: string;
  readonly proxyPortRange: PortRange;
  readonly features: Features;
}

/** The redirects of one family, and the rules that they need. */
export class WantedRules {
  readonly #vips: RedirectTree;
  readonly #guarded = new RedirectTree(portKeyspace);
  /** By the redirect's id. */
  readonly #proxyPorts = new Map<string, number>();
  /** Keys of the VIPs whose rules may have changed since the last call of {@link takeChangedVips}. */
  #changedVips = new Set<string>();

  readonly #options: RuleOptions;

  constructor(options: RuleOptions) {
    this.#options = options;
    this.#vips = new RedirectTree(vipKeyspace(options.family));
  }

  /** Ids of the redirects. */
  get ids(): Iterable<string> {
    return this.#proxyPorts.keys();
  }

  /** @throws RedirectError for a VIP that is not an address */
  set(redirect: Redirect): void {
    const { id, proxyPort } = redirect;
    const { nat, filter } = this.#entriesOf(redirect);
    this.#markChanged(id);
    this.#vips.set(id, nat);
    this.#guarded.set(id, filter);
    this.#proxyPorts.set(id, proxyPort);
    this.#markChanged(id);
  }

  delete(id: string): void {
    this.#markChanged(id);
    this.#vips.delete(id);
    this.#guarded.delete(id);
    this.#proxyPorts.delete(id);
  }

  clear(): void {
    for (const id of [...this.ids]) this.delete(id);
  }

  /** Keys of the VIPs whose rules may have changed since the last call. */
  takeChangedVips(): ReadonlySet<string> {
    const changed = this.#changedVips;
    this.#changedVips = new Set();
    return changed;
  }

  /** From now on every VIP counts as changed. */
  markAllChanged(): void {
    for (const id of this.ids) this.#markChanged(id);
  }

  /** The proxy port that serves the VIP with this key; null: no redirect has the VIP. */
  proxyPortOf(key: string): number | null {
    const owner = this.#vips.ownerOf(key);
    return owner === undefined ? null : (this.#proxyPorts.get(owner) ?? null);
  }

  /** All rules that the kernel must hold for these redirects. */
  ruleset(): Ruleset {
    const { features, proxyPortRange } = this.#options;
    const tables = new Map<string, Table>([['nat', natTable(this.#vips)]]);
    if (features.guard !== null) tables.set('filter', filterTable(this.#guarded, proxyPortRange));
    return tables;
  }

  #markChanged(id: string): void {
    for (const key of this.#vips.keysOf(id)) this.#changedVips.add(key);
  }

  #entriesOf(redirect: Redirect) {
    const { bindAddress, features } = this.#options;
    try {
      return {
        nat: natEntries(redirect, bindAddress, features),
        filter: filterEntries(redirect, features),
      };
    } catch (error) {
      throw new RedirectError(
        `${redirect.label}: ${(error as Error).message}; correct the Service's addresses`,
      );
    }
  }
}
