import { type Chains, ChainTree } from './chains.js';
import type { Keyspace } from './key.js';
import type { Entry } from './ruletree.js';

/** The rules that the redirects of one family have in one table, as a {@link ChainTree}. */
export class RedirectTree {
  readonly #tree: ChainTree;
  /** By the redirect's id. Redirects without a rule here are left out. */
  readonly #entries = new Map<string, readonly Entry[]>();

  constructor(keyspace: Keyspace) {
    this.#tree = new ChainTree(keyspace);
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Gives a redirect these rules, in the place of those that it had. */
  set(id: string, entries: readonly Entry[]): void {
    this.delete(id);
    if (entries.length === 0) return;
    for (const entry of entries) this.#tree.add(entry);
    this.#entries.set(id, entries);
  }

  delete(id: string): void {
    for (const entry of this.#entries.get(id) ?? []) this.#tree.delete(entry);
    this.#entries.delete(id);
  }

  /** The keys of a redirect's rules. */
  keysOf(id: string): string[] {
    return (this.#entries.get(id) ?? []).map(({ key }) => key);
  }

  /** The redirect whose rule for this key a packet meets first. */
  ownerOf(key: string): string | undefined {
    return this.#tree.find(key)?.id;
  }

  /** The rules for a chain that every packet enters, see {@link ChainTree.entrance}. */
  entrance(): readonly string[] {
    return this.#tree.entrance();
  }

  /** All chains below the entrance. */
  chains(): Chains {
    return this.#tree.chains();
  }
}
