import type { Logger } from 'pino';
import { type Removal, RulesetWatch } from '../sys/netlink/rulesetwatch.js';
import { isOwnChain } from './rules.js';
import type { Backend } from './xtables.js';

/** By table: the kernel's own chains that jump to ours. */
const HOOKS: Readonly<Record<string, readonly string[]>> = {
  nat: ['PREROUTING', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT'],
  mangle: ['PREROUTING', 'OUTPUT'],
  raw: ['PREROUTING', 'OUTPUT'],
};

/**
 * Notices that another program has removed our rules, or rules that jump to our chains. The kernel announces
 * our own changes too, so the caller calls {@link forget} after each change. A removal by another program at
 * the same moment is then found by the next audit.
 */
export class DisturbanceWatch {
  readonly #watch: RulesetWatch;
  readonly #log: Logger;

  private constructor(watch: RulesetWatch, log: Logger) {
    this.#watch = watch;
    this.#log = log;
  }

  /** Null: the back end does not announce changes, or this process may not listen. */
  static open({ name }: Backend, log: Logger): DisturbanceWatch | null {
    if (name === 'legacy') return null;
    try {
      return new DisturbanceWatch(RulesetWatch.open(), log);
    } catch (error) {
      log.debug(
        { reason: (error as Error).message },
        'cannot watch for rules that other programs remove; each audit looks for them',
      );
      return null;
    }
  }

  /** Whether rules were removed since the last call of any method. */
  wasDisturbed(): boolean {
    const removals = this.#removals();
    return removals === null || removals.some(concernsUs);
  }

  /** Ignores what was announced until now. */
  forget(): void {
    this.#removals();
  }

  #removals(): readonly Removal[] | null {
    try {
      return this.#watch.removals();
    } catch (error) {
      this.#log.debug(
        { reason: (error as Error).message },
        'cannot read which rules were removed; each audit looks for them',
      );
      return [];
    }
  }
}

function concernsUs({ table, chain }: Removal): boolean {
  const hooks = HOOKS[table];
  return hooks !== undefined && (chain === null || isOwnChain(chain) || hooks.includes(chain));
}
