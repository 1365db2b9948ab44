import { NONE } from '../model/compact.js';
import { SharedMap } from '../model/sharedmap.js';
import type { Keyspace } from './key.js';

/** One rule, at its place in the tree. */
export interface Entry {
  /** In digits of two bits; all keys of a tree are equally long. */
  readonly key: string;
  /** Where two entries claim the same key, the first id wins. */
  readonly id: string;
  /** Match and target, as `iptables-save` prints them after the chain's name. */
  readonly rule: string;
}

/** The rules of chains by their names. */
export type Chains = SharedMap<readonly string[]>;

const NO_CHAINS: Chains = SharedMap.empty();

/** A chain longer than this is split into one child for each value of the next two bits. */
const LONGEST_CHAIN = 16;
/** A child this small is written into its parent's chain. Four children of four fill it. */
const INLINE = 4;
const DIGITS = ['0', '1', '2', '3'];

interface Leaf {
  readonly prefix: string;
  readonly entries: readonly Entry[];
}

interface Branch {
  readonly prefix: string;
  readonly size: number;
  /** At least two, by the digit that follows `prefix`. */
  readonly children: readonly Node[];
}

type Node = Leaf | Branch;

/**
 * Rules as a tree of chains, so that a packet meets a few dozen checks instead of thousands.
 *
 * It is a path-compressed trie with four ways at a node: the way to walk the fewest checks when a node is a
 * list that the kernel reads from the top. Its shape depends on the set of entries only, not on the order in
 * which they came, so a change touches the chains on one path and a new start finds the old chains right.
 * Nodes never change; a new path shares everything beside it with the old one.
 */
export class ChainTree {
  #root: Node | null = null;
  /** What {@link chains} came to for a root. */
  #shown: { readonly root: Node | null; readonly chains: Chains } = { root: null, chains: NO_CHAINS };
  readonly #rendered = new WeakMap<Node, { name: string; rules: readonly string[] }>();

  readonly #keyspace: Keyspace;

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  add(entry: Entry): void {
    this.#root = this.#root === null ? build([entry]) : insert(this.#root, entry);
  }

  /** Takes away the entry with this key and id, if it is there. */
  delete(entry: Entry): void {
    if (this.#root !== null) this.#root = remove(this.#root, entry);
  }

  /** What a chain must hold that every packet enters: a few rules, or a jump for what may concern us. */
  entrance(): readonly string[] {
    return this.#root === null ? [] : this.#reference(this.#root);
  }

  /** Of entries with this key the one that a packet meets. */
  find(key: string): Entry | undefined {
    let node = this.#root;
    while (node !== null && 'children' in node) node = childFor(node, key) ?? null;
    return node?.entries.find((entry) => entry.key === key);
  }

  /** All chains below the entrance. Only what changed since the call before is made anew. */
  chains(): Chains {
    const changed = new Map<string, readonly string[] | undefined>();
    const { gone, come } = unlike(this.#shown.root, this.#root);
    for (const node of gone) changed.set(this.#keyspace.chainNameOf(node.prefix), undefined);
    for (const node of come) changed.set(this.#render(node).name, this.#render(node).rules);
    this.#shown = { root: this.#root, chains: this.#shown.chains.with(changed) };
    return this.#shown.chains;
  }

  #reference(node: Node): readonly string[] {
    if (sizeOf(node) <= INLINE) return entriesOf(node).map((entry) => entry.rule);
    const match = this.#keyspace.matchOf(node.prefix);
    const jump = `-j ${this.#render(node).name}`;
    return [match === '' ? jump : `${match} ${jump}`];
  }

  #render(node: Node): { name: string; rules: readonly string[] } {
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

/** @param entries sorted */
function build(entries: readonly Entry[]): Node {
  const first = entries.at(0)?.key ?? '';
  const prefix = commonPrefix(first, entries.at(-1)?.key ?? '');
  if (entries.length <= LONGEST_CHAIN || prefix.length === first.length) return { prefix, entries };
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const digit = entry.key.charAt(prefix.length);
    const group = groups.get(digit);
    if (group === undefined) groups.set(digit, [entry]);
    else group.push(entry);
  }
  return { prefix, size: entries.length, children: [...groups.values()].map(build) };
}

function insert(node: Node, entry: Entry): Node {
  if ('entries' in node) return build([...node.entries, entry].sort(compareEntries));
  const size = node.size + 1;
  const prefix = commonPrefix(node.prefix, entry.key);
  if (prefix.length < node.prefix.length) {
    return { prefix, size, children: [node, build([entry])].sort(compareNodes) };
  }
  const next = childFor(node, entry.key);
  const others = node.children.filter((child) => child !== next);
  const child = next === undefined ? build([entry]) : insert(next, entry);
  return { prefix, size, children: [...others, child].sort(compareNodes) };
}

function remove(node: Node, entry: Entry): Node | null {
  if ('entries' in node) {
    const entries = node.entries.filter((other) => compareEntries(other, entry) !== 0);
    return entries.length === 0 ? null : build(entries);
  }
  const next = childFor(node, entry.key);
  if (next === undefined) return node;
  const rest = remove(next, entry);
  const children = node.children.flatMap((child) => (child === next ? (rest ?? []) : child));
  const [only, ...others] = children;
  if (only !== undefined && others.length === 0) return only;
  const size = children.reduce((sum, other) => sum + sizeOf(other), 0);
  const branch = { prefix: node.prefix, size, children };
  return size <= LONGEST_CHAIN ? build(entriesOf(branch)) : branch;
}

/** The child below which an entry with this key is, if there is one. */
function childFor(node: Branch, key: string): Node | undefined {
  if (!key.startsWith(node.prefix)) return undefined;
  const at = node.prefix.length;
  return node.children.find((child) => child.prefix[at] === key[at]);
}

/**
 * The nodes with a chain of their own that only one of two versions of a tree has. The one that covers more
 * is taken apart first, so a node that both have is met on both sides at once.
 */
function unlike(before: Node | null, after: Node | null): { gone: Node[]; come: Node[] } {
  const gone: Node[] = [];
  const come: Node[] = [];
  const visit = (old: Node | undefined, next: Node | undefined): void => {
    if (old === next) return;
    const depth = Math.min(old?.prefix.length ?? Infinity, next?.prefix.length ?? Infinity);
    const olds = takeApart(old, depth, gone);
    const nexts = takeApart(next, depth, come);
    const withDigit = (nodes: readonly Node[], digit: string) =>
      nodes.find(({ prefix }) => prefix[depth] === digit);
    for (const digit of DIGITS) visit(withDigit(olds, digit), withDigit(nexts, digit));
  };
  visit(before ?? undefined, after ?? undefined);
  return { gone, come };
}

/**
 * The children of a node that is no longer than `depth`, which is noted if it has a chain;
 * else the node itself.
 */
function takeApart(node: Node | undefined, depth: number, chained: Node[]): readonly Node[] {
  if (node === undefined) return NONE;
  if (node.prefix.length > depth) return [node];
  if (sizeOf(node) > INLINE) chained.push(node);
  return 'children' in node ? node.children : NONE;
}

function sizeOf(node: Node): number {
  return 'entries' in node ? node.entries.length : node.size;
}

function entriesOf(node: Node): readonly Entry[] {
  return 'entries' in node ? node.entries : node.children.flatMap(entriesOf);
}

function compareEntries(a: Entry, b: Entry): number {
  return compareText(a.key, b.key) || compareText(a.id, b.id);
}

function compareNodes(a: Node, b: Node): number {
  return compareText(a.prefix, b.prefix);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}
