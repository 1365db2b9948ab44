import type { CarrierNumbers } from '../portal/carrier.js';
import type { CarriedFlows } from './carriedflows.js';
import { ProgramHung } from './command.js';
import type { Redirect } from './driver.js';
import { probeCarrier } from './probecarrier.js';
import { difference, parseLongSave, type Ruleset } from './ruleset.js';
import type { StaleFlows } from './staleflows.js';
import { type RuleOptions, WantedRules } from './wantedrules.js';
import type { Xtables } from './xtables.js';

/** The tracked flows that depend on rules. */
export interface RuledFlows {
  readonly stale: Pick<StaleFlows, 'end'>;
  readonly carried: Pick<CarriedFlows, 'end'>;
}

/** Keeps the rules of one family in the kernel as its redirects need them. */
export class FamilyRules {
  readonly #wanted: WantedRules;
  /** The rules that the kernel holds. Null: unknown, at the start and after a failure. */
  #programmed: Ruleset | null = null;
  /** Whether the kernel was told of rules, or should have been. Before, none of ours can be missing. */
  #hasBegun = false;
  /** The error of the last program, if it hung. */
  #hung: ProgramHung | null = null;

  readonly #xtables: Xtables;
  readonly #flows: RuledFlows;

  constructor(xtables: Xtables, flows: RuledFlows, options: RuleOptions) {
    this.#xtables = xtables;
    this.#flows = flows;
    this.#wanted = new WantedRules(options);
  }

  /** Ids of the wanted redirects. */
  get ids(): Iterable<string> {
    return this.#wanted.ids;
  }

  /**
   * Tries the rules by which the kernel carries traffic, and from then on makes them for redirects that want
   * them. Resolves to the reason if they cannot be had, else to null.
   */
  async openCarrier(numbers: CarrierNumbers): Promise<string | null> {
    const reason = await probeCarrier(this.#xtables).catch((error: Error) => error.message);
    if (reason === null) this.#wanted.carryBy(numbers);
    return reason;
  }

  /** @throws RedirectError for a VIP that is not an address */
  set(redirect: Redirect): void {
    this.#wanted.set(redirect);
  }

  delete(id: string): void {
    this.#wanted.delete(id);
  }

  /**
   * Tells the kernel what changed since the last call. If the last program hung, no other program is
   * started, as it would most likely hang too. The next audit tries again.
   * @throws RedirectError
   */
  async program(): Promise<void> {
    if (this.#hung !== null) throw this.#hung;
    this.#hasBegun = true;
    await this.#rememberHang(() => this.#update(this.#wanted.ruleset()));
    await this.#endDroppedFlows();
  }

  /**
   * Compares the wanted rules with the rules in the kernel, and repairs the rules in the kernel. Resolves to
   * the number of chains and hooks that were repaired.
   * @throws RedirectError
   */
  async audit(): Promise<number> {
    const isFirst = !this.#hasBegun;
    this.#hasBegun = true;
    const count = await this.#rememberHang(() => this.#synchronize(this.#wanted.ruleset()));
    await this.#endDroppedFlows();
    return isFirst ? 0 : count;
  }

  async #rememberHang<T>(work: () => Promise<T>): Promise<T> {
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
        // Another program may have removed chains that this change needs: read the rules again.
      }
    }
    await this.#synchronize(wanted);
  }

  /** Forgets all redirects, after their rules were removed from the kernel. */
  async forget(): Promise<void> {
    this.#wanted.clear();
    this.#programmed = null;
    await this.#endStaleFlows();
    await this.#endDroppedFlows();
  }

  /**
   * Rules decide only about the first packet of a flow. Flows that the old rules decided about are ended, so
   * that their next packet meets the new rules.
   */
  async #restore(script: string): Promise<void> {
    await this.#xtables.restore(script);
    await this.#endStaleFlows();
  }

  async #endStaleFlows(): Promise<void> {
    await this.#flows.stale.end(this.#xtables.family, {
      keys: this.#wanted.takeChangedVips(),
      proxyPortOf: (key) => this.#wanted.proxyPortOf(key),
    });
  }

  /** Whether the kernel may carry UDP flows changes without a change of rules. */
  async #endDroppedFlows(): Promise<void> {
    await this.#flows.carried.end(this.#xtables.family, this.#wanted.takeDroppedVips());
  }

  async #synchronize(wanted: Ruleset): Promise<number> {
    if (this.#programmed === null) this.#wanted.markAllCarried();
    this.#programmed = null;
    const actual = await parseLongSave((await this.#xtables.save()) ?? '');
    const { script, count } = difference(actual, wanted);
    if (count > 0) {
      // The rules that decided about the flows of today are unknown.
      this.#wanted.markAllChanged();
      await this.#restore(script);
    }
    this.#programmed = wanted;
    return count;
  }
}
