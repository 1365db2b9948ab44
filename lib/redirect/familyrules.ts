import { NONE } from '../model/compact.js';
import type { Family } from '../net/address.js';
import { ChainTree, type Entry } from './chains.js';
import { ProgramHung } from './command.js';
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
import { difference, parseLongSave, type Ruleset, type Table } from './ruleset.js';
import type { StaleFlows } from './staleflows.js';
import type { Xtables } from './xtables.js';

export interface RuleOptions {
  readonly family: Family;
  readonly bindAddress: string;
  readonly proxyPortRange: PortRange;
  readonly features: Features;
  readonly staleFlows: StaleFlows;
}

/** What one redirect has in the trees. */
interface Placed {
  readonly vips: readonly Entry[];
  readonly guarded: readonly Entry[];
  readonly proxyPort: number;
}

/** The redirects of one family: what rules they want, and what the kernel was last told. */
export class FamilyRules {
  readonly #vips: ChainTree;
  readonly #guarded = new ChainTree(portKeyspace);
  readonly #entries = new Map<string, Placed>();
  /** Keys of VIPs whose rules may have become others since flows were last looked at. */
  readonly #touched = new Set<string>();
  /** Null as long as it is not known what the kernel holds: at the start and after a failure. */
  #programmed: Ruleset | null = null;
  /** That a program hung the last time. */
  #hung: ProgramHung | null = null;

  readonly #xtables: Xtables;
  readonly #options: RuleOptions;

  constructor(xtables: Xtables, options: RuleOptions) {
    this.#xtables = xtables;
    this.#options = options;
    this.#vips = new ChainTree(vipKeyspace(options.family));
  }

  /** The redirects that are wanted. */
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
      this.#touched.add(entry.key);
    }
    for (const entry of entries.guarded) this.#guarded.add(entry);
    this.#entries.set(redirect.id, entries);
  }

  delete(id: string): void {
    const entries = this.#entries.get(id);
    if (entries === undefined) return;
    for (const entry of entries.vips) {
      this.#vips.delete(entry);
      this.#touched.add(entry.key);
    }
    for (const entry of entries.guarded) this.#guarded.delete(entry);
    this.#entries.delete(id);
  }

  /**
   * Tells the kernel what changed since the last time. A program that hung would most likely hang again:
   * changes do not wait for it, the next audit tries anew.
   * @throws RedirectError
   */
  async program(): Promise<void> {
    if (this.#hung !== null) throw this.#hung;
    await this.#noticing(() => this.#update(this.#wanted()));
  }

  /**
   * Compares with what the kernel really holds. Resolves to the number of chains and hooks put right.
   * @throws RedirectError
   */
  audit(): Promise<number> {
    return this.#noticing(() => this.#synchronize(this.#wanted()));
  }

  async #noticing<T>(work: () => Promise<T>): Promise<T> {
    this.#hung = null;
    try {
      return await work();
    } catch (error) {
      if (error instanceof ProgramHung) this.#hung = error;
      throw error;
    }
  }

  async #update(wanted: Ruleset): Promise<void> {
    if (this.#programmed !== null) {
      const { script } = difference(this.#programmed, wanted);
      try {
        if (script !== '') await this.#restore(script);
        this.#programmed = wanted;
        return;
      } catch (error) {
        if (error instanceof ProgramHung) {
          this.#programmed = null;
          throw error;
        }
        // Somebody may have removed chains that this change builds on: look, and start from there.
      }
    }
    await this.#synchronize(wanted);
  }

  /** Nothing of ours is in the kernel any more. */
  async forget(): Promise<void> {
    for (const id of [...this.#entries.keys()]) this.delete(id);
    this.#programmed = null;
    await this.#endStaleFlows();
  }

  /**
   * Rules decide about the first packet of a flow only:
   * those that were decided without the new ones start anew.
   */
  async #restore(script: string): Promise<void> {
    await this.#xtables.restore(script);
    await this.#endStaleFlows();
  }

  async #endStaleFlows(): Promise<void> {
    const { family, staleFlows } = this.#options;
    await staleFlows.end(family, { keys: this.#touched, proxyPortOf: (key) => this.#proxyPortOf(key) });
    this.#touched.clear();
  }

  #proxyPortOf(vip: string): number | null {
    const entry = this.#vips.find(vip);
    return entry === undefined ? null : (this.#entries.get(entry.id)?.proxyPort ?? null);
  }

  async #synchronize(wanted: Ruleset): Promise<number> {
    this.#programmed = null;
    const actual = await parseLongSave((await this.#xtables.save()) ?? '');
    const { script, count } = difference(actual, wanted);
    if (count > 0) {
      // Nobody knows which rules were there when a flow began.
      for (const { vips } of this.#entries.values()) for (const { key } of vips) this.#touched.add(key);
      await this.#restore(script);
    }
    this.#programmed = wanted;
    return count;
  }

  #wanted(): Ruleset {
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
   * There even without a port to guard: as long as one rule asks for it the kernel tracks (nf_ct_netns_get),
   * and open connections keep their translation, and hear of their end, after the last VIP has gone.
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
