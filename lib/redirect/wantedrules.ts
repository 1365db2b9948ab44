import { NONE } from '../model/compact.js';
import type { Family } from '../net/address.js';
import type { CarrierNumbers } from '../portal/carrier.js';
import { CarriedVips, udpKeys } from './carriedvips.js';
import { errorTable } from './carriererrors.js';
import { type Redirect, RedirectError } from './driver.js';
import { filterEntries, filterTable } from './filtertable.js';
import { datagramEntries, datagramTable, passingTable } from './firstdatagrams.js';
import { portKeyspace, vipKeyspace } from './key.js';
import { natEntries, natTable } from './nattable.js';
import { rawEntries, rawTable } from './rawtable.js';
import { RedirectTree } from './redirecttree.js';
import type { Features, PortRange } from './rules.js';
import type { Ruleset, Table } from './ruleset.js';
import { withPart } from './treetable.js';

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
  readonly #carriedTcp: RedirectTree;
  readonly #carriedUdp: RedirectTree;
  readonly #carriedUdpVips = new CarriedVips();
  /** By the redirect's id. */
  readonly #proxyPorts = new Map<string, number>();
  /** Keys of the VIPs whose rules may have changed since the last call of {@link takeChangedVips}. */
  #changedVips = new Set<string>();

  readonly #options: RuleOptions;
  /** Null: the kernel carries nothing, whatever redirects want. */
  #carrier: CarrierNumbers | null = null;

  constructor(options: RuleOptions) {
    this.#options = options;
    const vips = vipKeyspace(options.family);
    this.#vips = new RedirectTree(vips);
    this.#carriedTcp = new RedirectTree(vips);
    this.#carriedUdp = new RedirectTree(vips);
  }

  /** Ids of the redirects. */
  get ids(): Iterable<string> {
    return this.#proxyPorts.keys();
  }

  /** Redirects that are set from now on may be carried by the kernel. */
  carryBy(numbers: CarrierNumbers): void {
    this.#carrier = numbers;
  }

  /** @throws RedirectError for a VIP that is not an address */
  set(redirect: Redirect): void {
    const { id, proxyPort } = redirect;
    const { nat, filter, raw, mangle, udp } = this.#entriesOf(redirect);
    this.#markChanged(id);
    this.#vips.set(id, nat);
    this.#guarded.set(id, filter);
    this.#carriedTcp.set(id, raw);
    this.#carriedUdp.set(id, mangle);
    this.#carriedUdpVips.set(id, udp);
    this.#proxyPorts.set(id, proxyPort);
    this.#markChanged(id);
  }

  delete(id: string): void {
    this.#markChanged(id);
    this.#vips.delete(id);
    this.#guarded.delete(id);
    this.#carriedTcp.delete(id);
    this.#carriedUdp.delete(id);
    this.#carriedUdpVips.delete(id);
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

  /**
   * Keys of the VIPs to which the kernel may carry no UDP flow now, among those to which it may have since
   * the last call.
   */
  takeDroppedVips(): ReadonlySet<string> {
    return this.#carriedUdpVips.takeDropped();
  }

  /** An earlier run may have let the kernel carry flows to any VIP. */
  markAllCarried(): void {
    for (const id of this.ids) for (const key of this.#vips.keysOf(id)) this.#carriedUdpVips.mayHaveBeen(key);
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
    // In this order: what no worker decides about must meet the redirects.
    const tables = new Map<string, Table>([['nat', this.#natTable()]]);
    if (features.guard !== null) tables.set('filter', filterTable(this.#guarded, proxyPortRange));
    const mangle = this.#mangleTable();
    if (mangle !== null) tables.set('mangle', mangle);
    if (!this.#carriedTcp.isEmpty) tables.set('raw', rawTable(this.#carriedTcp));
    return tables;
  }

  #natTable(): Table {
    const redirects = natTable(this.#vips);
    const carrier = this.#carriedUdp.isEmpty ? null : this.#carrier;
    return carrier === null ? redirects : withPart(redirects, passingTable(carrier));
  }

  /** Null: it has no rules of ours. */
  #mangleTable(): Table | null {
    if (this.#carrier === null || (this.#carriedTcp.isEmpty && this.#carriedUdpVips.isEmpty)) return null;
    const errors = errorTable(this.#options.family, this.#carrier);
    return this.#carriedUdp.isEmpty
      ? errors
      : withPart(datagramTable(this.#carriedUdp, this.#carrier), errors);
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
        raw: this.#carrier === null ? NONE : rawEntries(redirect, features),
        mangle: this.#carrier === null ? NONE : datagramEntries(redirect, features),
        udp: this.#carrier === null ? NONE : udpKeys(redirect),
      };
    } catch (error) {
      throw new RedirectError(
        `${redirect.label}: ${(error as Error).message}; correct the Service's addresses`,
      );
    }
  }
}
