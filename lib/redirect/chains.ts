import { SharedMap } from '../model/sharedmap.js';
import type { Keyspace } from './key.js';
import {
  buildTree,
  differingNodes,
  type Entry,
  entriesOf,
  findEntry,
  insertEntry,
  isInline,
  type RuleNode,
  removeEntry,
} from './ruletree.js';

/** Chain name to the rules of the chain. */
export type Chains = SharedMap<readonly string[]>;

const NO_CHAINS: Chains = SharedMap.empty();

/**
 * The rules of a {@link RuleNode} tree as chains, so that a packet meets a few dozen checks instead of
 * thousands. A change touches only the chains on one path. A new start finds the chains of the run before
 * it right, as the shape of the tree depends on the set of entries only.
 */
export class ChainTree {
  #root: RuleNode | null = null;
  /** The last answer of {@link chains}, with the root that it was made from. */
  #shown: { readonly root: RuleNode | null; readonly chains: Chains } = { root: null, chains: NO_CHAINS };
  readonly #rendered = new WeakMap<RuleNode, { name: string; rules: readonly string[] }>();

  readonly #keyspace: Keyspace;

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  add(entry: Entry): void {
    this.#root = this.#root === null ? buildTree([entry]) : insertEntry(this.#root, entry);
  }

  /** Takes away the entry with this key and id, if it is there. */
  delete(entry: Entry): void {
    if (this.#root !== null) this.#root = removeEntry(this.#root, entry);
  }

  /**
   * The rules for a chain that every packet enters: few rules of entries themselves, else one jump for the
   * packets that the tree may concern.
   */
  entrance(): readonly string[] {
    return this.#root === null ? [] : this.#reference(this.#root);
  }

  /** The entry with this key that a packet meets first. */
  find(key: string): Entry | undefined {
    return this.#root === null ? undefined : findEntry(this.#root, key);
  }

  /** All chains below the entrance. Only chains that changed since the last call are made anew. */
  chains(): Chains {
    const changed = new Map<string, readonly string[] | undefined>();
    const { onlyBefore, onlyAfter } = differingNodes(this.#shown.root, this.#root);
    for (const node of onlyBefore) changed.set(this.#keyspace.chainNameOf(node.prefix), undefined);
    for (const node of onlyAfter) changed.set(this.#render(node).name, this.#render(node).rules);
    this.#shown = { root: this.#root, chains: this.#shown.chains.with(changed) };
    return this.#shown.chains;
  }

  #reference(node: RuleNode): readonly string[] {
    if (isInline(node)) return entriesOf(node).map((entry) => entry.rule);
    const match = this.#keyspace.matchOf(node.prefix);
    const jump = `-j ${this.#render(node).name}`;
    return [match === '' ? jump : `${match} ${jump}`];
  }

  #render(node: RuleNode): { name: string; rules: readonly string[] } {
    let chain = this.#rendered.get(node);
    if (chain === undefined) {
      const rules =
        'children' in node
          ? node.children.flatMap((child) => this.#reference(child))
          : node.entries.map((entry) => entry.rule);
      chain = { name: this.#keyspace.chainNameOf(node.prefix), rules };
      this.#rendered.set(node, chain);
    }
    return chain;
  }
}
