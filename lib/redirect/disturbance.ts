import type { Logger } from 'pino';
import { type Removal, RulesetWatch } from '../sys/netlink/rulesetwatch.js';
import { isOwnChain } from './rules.js';
import type { Backend } from './xtables.js';

/** Chains of the kernel's that lead to ours, by their tables. */
const HOOKS: Readonly<Record<string, readonly string[]>> = {
  nat: ['PREROUTING', 'OUTPUT'],
  filter: ['INPUT'],
};

/**
 * Notices that somebody has removed rules of ours, or the rules that lead to them. What this program does
 * itself is announced too: whoever makes a change calls {@link forget} after it. What others did in the same
 * moment is then for the next audit.
 */
export class DisturbanceWatch {
  readonly #watch: RulesetWatch;
  readonly #log: Logger;

  private constructor(watch: RulesetWatch, log: Logger) {
    this.#watch = watch;
    this.#log = log;
  }

  /** Null where the back end announces nothing, or nobody may listen. */
  static open({ name }: Backend, log: Logger): DisturbanceWatch | null {
    if (name === 'legacy') return null;
    try {
      return new DisturbanceWatch(RulesetWatch.open(), log);
    } catch (error) {
      log.debug({ reason: (error as Error).message }, 'the kernel announces no removed rules');
      return null;
    }
  }

  /** Whether it happened since the last call of any method. */
  wasDisturbed(): boolean {
    const removals = this.#removals();
    return removals === null || removals.some(concernsUs);
  }

  forget(): void {
    this.#removals();
  }

  #removals(): readonly Removal[] | null {
    try {
      return this.#watch.removals();
    } catch (error) {
      this.#log.debug({ reason: (error as Error).message }, 'cannot hear of removed rules');
      return [];
    }
  }
}

function concernsUs({ table, chain }: Removal): boolean {
  const hooks = HOOKS[table];
  return hooks !== undefined && (chain === null || isOwnChain(chain) || hooks.includes(chain));
}
