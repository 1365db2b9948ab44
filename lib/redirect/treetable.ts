import type { Chains } from './chains.js';
import type { Table } from './ruleset.js';

/** A table in which most chains are those of a tree. */
export interface TreeTable extends Table {
  readonly chains: Chains;
}

/** A table with the few chains and jumps of another part of it, which come first. */
export function withPart({ chains, hooks }: TreeTable, part: Table): TreeTable {
  const all = new Map(part.hooks);
  for (const [chain, rules] of hooks) all.set(chain, [...(all.get(chain) ?? []), ...rules]);
  return { chains: chains.with(part.chains), hooks: all };
}
