import type { Family } from '../model/portal.js';
import { ChainTree, type Entry } from './chains.js';
import { type Redirect, RedirectError } from './driver.js';
import { keyOf } from './key.js';
import {
  CONTAINER_CHAIN,
  type Features,
  GUARD_CHAIN,
  guardHook,
  guardRules,
  HOST_CHAIN,
  type PortRange,
  redirectRule,
} from './rules.js';
import { difference, parseSave, type Ruleset, type Table } from './ruleset.js';
import type { Xtables } from './xtables.js';

export interface RuleOptions {
  readonly family: Family;
  readonly bindAddress: string;
  readonly proxyPortRange: PortRange;
  readonly features: Features;
}

/** The redirects of one family: what rules they want, and what the kernel was last told. */
export class FamilyRules {
  private readonly tree: ChainTree;
  private readonly entries = new Map<string, readonly Entry[]>();
  private readonly udpPorts = new Map<string, number>();
  /** Null as long as it is not known what the kernel holds: at the start and after a failure. */
  private programmed: Ruleset | null = null;

  constructor(
    private readonly xtables: Xtables,
    private readonly options: RuleOptions,
  ) {
    this.tree = new ChainTree(options.family);
  }

  /** @throws RedirectError for a VIP that is not an address */
  set(redirect: Redirect): void {
    const entries = this.entriesOf(redirect);
    this.delete(redirect.id);
    for (const entry of entries) this.tree.add(entry);
    this.entries.set(redirect.id, entries);
    if (redirect.protocol === 'UDP') this.udpPorts.set(redirect.id, redirect.proxyPort);
  }

  delete(id: string): void {
    for (const entry of this.entries.get(id) ?? []) this.tree.delete(entry);
    this.entries.delete(id);
    this.udpPorts.delete(id);
  }

  /** Tells the kernel what changed since the last time. @throws RedirectError */
  async program(): Promise<void> {
    const wanted = this.wanted();
    if (this.programmed !== null) {
      const { script } = difference(this.programmed, wanted);
      try {
        if (script !== '') await this.xtables.restore(script);
        this.programmed = wanted;
        return;
      } catch {
        // Somebody may have removed chains that this change builds on: look, and start from there.
      }
    }
    await this.synchronize(wanted);
  }

  /** Compares with what the kernel really holds. Resolves to the number of chains and hooks put right. @throws RedirectError */
  audit(): Promise<number> {
    return this.synchronize(this.wanted());
  }

  /** Nothing of ours is in the kernel any more. */
  forget(): void {
    for (const id of [...this.entries.keys()]) this.delete(id);
    this.programmed = null;
  }

  private async synchronize(wanted: Ruleset): Promise<number> {
    this.programmed = null;
    const { script, count } = difference(parseSave((await this.xtables.save()) ?? ''), wanted);
    if (count > 0) await this.xtables.restore(script);
    this.programmed = wanted;
    return count;
  }

  private wanted(): Ruleset {
    const entrance = this.tree.entrance();
    const chains = this.tree.chains().set(CONTAINER_CHAIN, entrance).set(HOST_CHAIN, entrance);
    const hooks = new Map([
      ['PREROUTING', [`-j ${CONTAINER_CHAIN}`]],
      ['OUTPUT', [`-j ${HOST_CHAIN}`]],
    ]);
    return new Map([
      ['nat', { chains, hooks }],
      ['filter', this.guard()],
    ]);
  }

  private guard(): Table {
    const { features, family, proxyPortRange } = this.options;
    if (features.guard === null || this.udpPorts.size === 0) return { chains: new Map(), hooks: new Map() };
    const rules = guardRules(family, [...this.udpPorts.values()], features.guard);
    return {
      chains: new Map([[GUARD_CHAIN, rules]]),
      hooks: new Map([['INPUT', [guardHook(proxyPortRange)]]]),
    };
  }

  private entriesOf(redirect: Redirect): Entry[] {
    const { bindAddress, features } = this.options;
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
