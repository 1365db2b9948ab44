import { NONE } from '../model/compact.js';

/**
 * A path-compressed trie of rules. The kernel reads the rules of a chain one after the other, and with four
 * children at each node a packet meets the fewest rules. The shape of the trie depends on the set of entries
 * only, not on their order. Nodes never change: a new version of the trie shares all nodes with the old one
 * except those on the new path.
 */

/** One rule with its place in the tree. */
export interface Entry {
  /** In digits of two bits. All keys of a tree have the same length. */
  readonly key: string;
  /** Of two entries with the same key, the one whose id sorts first wins. */
  readonly id: string;
  /** Match and target, as `iptables-save` prints them after the chain's name. */
  readonly rule: string;
}

/** Rules. A longer chain is split into one child for each value of the next two bits. */
const MAX_CHAIN = 16;
/**
 * Rules. A child with so many or fewer is part of its parent's chain. Four children of four rules fill it.
 */
const MAX_INLINE = 4;
const DIGITS = ['0', '1', '2', '3'];

interface Leaf {
  readonly prefix: string;
  readonly entries: readonly Entry[];
}

interface Branch {
  readonly prefix: string;
  readonly size: number;
  /** At least two, sorted by the digit that follows `prefix`. */
  readonly children: readonly RuleNode[];
}

/** A subtree: all entries whose keys start with `prefix`. */
export type RuleNode = Leaf | Branch;

/** @param entries sorted */
export function buildTree(entries: readonly Entry[]): RuleNode {
  const first = entries.at(0)?.key ?? '';
  const prefix = commonPrefix(first, entries.at(-1)?.key ?? '');
  if (entries.length <= MAX_CHAIN || prefix.length === first.length) return { prefix, entries };
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const digit = entry.key.charAt(prefix.length);
    const group = groups.get(digit);
    if (group === undefined) groups.set(digit, [entry]);
    else group.push(entry);
  }
  return { prefix, size: entries.length, children: [...groups.values()].map(buildTree) };
}

/** @returns the tree with one entry more; what does not change is shared */
export function insertEntry(node: RuleNode, entry: Entry): RuleNode {
  if ('entries' in node) return buildTree([...node.entries, entry].sort(compareEntries));
  const size = node.size + 1;
  const prefix = commonPrefix(node.prefix, entry.key);
  if (prefix.length < node.prefix.length) {
    return { prefix, size, children: [node, buildTree([entry])].sort(compareNodes) };
  }
  const next = childFor(node, entry.key);
  const others = node.children.filter((child) => child !== next);
  const child = next === undefined ? buildTree([entry]) : insertEntry(next, entry);
  return { prefix, size, children: [...others, child].sort(compareNodes) };
}

/** @returns the tree without this entry; null: no entry is left */
export function removeEntry(node: RuleNode, entry: Entry): RuleNode | null {
  if ('entries' in node) {
    const entries = node.entries.filter((other) => compareEntries(other, entry) !== 0);
    return entries.length === 0 ? null : buildTree(entries);
  }
  const next = childFor(node, entry.key);
  if (next === undefined) return node;
  const rest = removeEntry(next, entry);
  const children = node.children.flatMap((child) => (child === next ? (rest ?? []) : child));
  const [only, ...others] = children;
  if (only !== undefined && others.length === 0) return only;
  const size = children.reduce((sum, other) => sum + sizeOf(other), 0);
  const branch = { prefix: node.prefix, size, children };
  return size <= MAX_CHAIN ? buildTree(entriesOf(branch)) : branch;
}

/** The entry with this key that a packet meets first. */
export function findEntry(root: RuleNode, key: string): Entry | undefined {
  let node: RuleNode | undefined = root;
  while (node !== undefined && 'children' in node) node = childFor(node, key);
  return node?.entries.find((entry) => entry.key === key);
}

/** All entries below a node, in the order of their keys. */
export function entriesOf(node: RuleNode): readonly Entry[] {
  return 'entries' in node ? node.entries : node.children.flatMap(entriesOf);
}

/** Whether a node has no chain of its own: its rules are in the chain of its parent. */
export function isInline(node: RuleNode): boolean {
  return sizeOf(node) <= MAX_INLINE;
}

/** The child below which an entry with this key is, if there is one. */
function childFor(node: Branch, key: string): RuleNode | undefined {
  if (!key.startsWith(node.prefix)) return undefined;
  const at = node.prefix.length;
  return node.children.find((child) => child.prefix[at] === key[at]);
}

/**
 * The nodes with a chain of their own that only one of two versions of a tree has. At each step the node
 * with the shorter prefix is taken apart, so a node that both versions share is met on both sides at once.
 */
export function differingNodes(
  before: RuleNode | null,
  after: RuleNode | null,
): { onlyBefore: RuleNode[]; onlyAfter: RuleNode[] } {
  const onlyBefore: RuleNode[] = [];
  const onlyAfter: RuleNode[] = [];
  const visit = (old: RuleNode | undefined, next: RuleNode | undefined): void => {
    if (old === next) return;
    const depth = Math.min(old?.prefix.length ?? Infinity, next?.prefix.length ?? Infinity);
    const olds = takeApart(old, depth, onlyBefore);
    const nexts = takeApart(next, depth, onlyAfter);
    const withDigit = (nodes: readonly RuleNode[], digit: string) =>
      nodes.find(({ prefix }) => prefix[depth] === digit);
    for (const digit of DIGITS) visit(withDigit(olds, digit), withDigit(nexts, digit));
  };
  visit(before ?? undefined, after ?? undefined);
  return { onlyBefore, onlyAfter };
}

/**
 * A node with a prefix longer than `depth` is returned as it is. Of any other node the children are
 * returned, and the node is added to `chained` if it has a chain of its own.
 */
function takeApart(node: RuleNode | undefined, depth: number, chained: RuleNode[]): readonly RuleNode[] {
  if (node === undefined) return NONE;
  if (node.prefix.length > depth) return [node];
  if (!isInline(node)) chained.push(node);
  return 'children' in node ? node.children : NONE;
}

function sizeOf(node: RuleNode): number {
  return 'entries' in node ? node.entries.length : node.size;
}

function compareEntries(a: Entry, b: Entry): number {
  return compareText(a.key, b.key) || compareText(a.id, b.id);
}

function compareNodes(a: RuleNode, b: RuleNode): number {
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
