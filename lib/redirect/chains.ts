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

/** A chain longer than this is split into one child for each value of the next two bits. */
const LONGEST_CHAIN = 16;
/** A child this small is written into its parent's chain. Four children of four fill it. */
const INLINE = 4;

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
 * It is a path-compressed trie with four ways at a node: the way to walk the fewest checks when a node is a list
 * that the kernel reads from the top. Its shape depends on the set of entries only, not on the order in
 * which they came, so a change touches the chains on one path and a new start finds the old chains right.
 * Nodes never change; a new path shares everything beside it with the old one.
 */
export class ChainTree {
  private root: Node | null = null;
  private readonly rendered = new WeakMap<Node, { name: string; rules: readonly string[] }>();

  constructor(private readonly keyspace: Keyspace) {}

  add(entry: Entry): void {
    this.root = this.root === null ? build([entry]) : insert(this.root, entry);
  }

  /** Takes away the entry with this key and id, if it is there. */
  delete(entry: Entry): void {
    if (this.root !== null) this.root = remove(this.root, entry);
  }

  /** What a chain must hold that every packet enters: a few rules, or a jump for what may concern us. */
  entrance(): readonly string[] {
    return this.root === null ? [] : this.reference(this.root);
  }

  /** All chains below the entrance. A chain that did not change is the same array as in the call before. */
  chains(): Map<string, readonly string[]> {
    const chains = new Map<string, readonly string[]>();
    const visit = (node: Node): void => {
      if (sizeOf(node) <= INLINE) return;
      const { name, rules } = this.render(node);
      chains.set(name, rules);
      if ('children' in node) node.children.forEach(visit);
    };
    if (this.root !== null) visit(this.root);
    return chains;
  }

  private reference(node: Node): readonly string[] {
    if (sizeOf(node) <= INLINE) return entriesOf(node).map((entry) => entry.rule);
    const match = this.keyspace.matchOf(node.prefix);
    const jump = `-j ${this.render(node).name}`;
    return [match === '' ? jump : `${match} ${jump}`];
  }

  private render(node: Node): { name: string; rules: readonly string[] } {
    let chain = this.rendered.get(node);
    if (chain === undefined) {
      const rules =
        'children' in node
          ? node.children.flatMap((child) => this.reference(child))
          : node.entries.map((entry) => entry.rule);
      chain = { name: this.keyspace.chainNameOf(node.prefix), rules };
      this.rendered.set(node, chain);
    }
    return chain;
  }
}

/** @param entries sorted, at least one */
function build(entries: readonly Entry[]): Node {
  const prefix = commonPrefix(entries[0].key, entries[entries.length - 1].key);
  if (entries.length <= LONGEST_CHAIN || prefix.length === entries[0].key.length) return { prefix, entries };
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const digit = entry.key[prefix.length];
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
  const children = [...node.children];
  const index = childIndex(node, entry);
  if (index >= 0) children[index] = insert(children[index], entry);
  else children.push(build([entry]));
  return { prefix, size, children: children.sort(compareNodes) };
}

function remove(node: Node, entry: Entry): Node | null {
  if ('entries' in node) {
    const entries = node.entries.filter((other) => compareEntries(other, entry) !== 0);
    return entries.length === 0 ? null : build(entries);
  }
  const index = childIndex(node, entry);
  if (index < 0) return node;
  const child = remove(node.children[index], entry);
  const children = node.children.flatMap((other, i) => (i === index ? (child ?? []) : other));
  if (children.length === 1) return children[0];
  const size = children.reduce((sum, other) => sum + sizeOf(other), 0);
  const branch = { prefix: node.prefix, size, children };
  return size <= LONGEST_CHAIN ? build(entriesOf(branch)) : branch;
}

function childIndex(node: Branch, entry: Entry): number {
  if (!entry.key.startsWith(node.prefix)) return -1;
  const at = node.prefix.length;
  return node.children.findIndex((child) => child.prefix[at] === entry.key[at]);
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
