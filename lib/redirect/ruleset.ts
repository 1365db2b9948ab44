import { setImmediate as otherWork } from 'node:timers/promises';
import { differingParts } from '../model/changes.js';
import { isOwnChain, jumpsToOwnChain, WAITING_CHAINS } from './rules.js';

/** Our part of one netfilter table. Rules are texts as `iptables-save` prints them. */
export interface Table {
  /** Our chains, with all their rules. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /**
   * Chains of others that jump to ours. If our jumps must be the first rules: all rules from the top down to
   * the last of them. Of other rules only the jumps.
   */
  readonly hooks: ReadonlyMap<string, readonly string[]>;
}

/** Tables by name. A table without rules of ours may be missing. */
export type Ruleset = ReadonlyMap<string, Table>;

/**
 * Where our jumps are in the chains of others.
 *
 * - `first`: no other rule takes a packet before us.
 * - `early`, in the table filter: we put them first, but others may put rules above them. Such a program
 *   wants to judge before us, as engines of network policies do, and would put its rule there again.
 * - `last`, jumps to chains where packets wait for a worker: a packet that it lets go skips the rules after
 *   our jump (nf_reinject of the kernel). So the rules of others come before, for example those against
 *   spoofed addresses.
 */
function isLast(jump: string): boolean {
  return WAITING_CHAINS.some((chain) => jump.endsWith(`-j ${chain}`));
}

/** Lines that are read before other work gets its turn: some milliseconds. */
const LINES_PER_TURN = 500;

/** Finds our rules in the output of `iptables-save`. */
export function parseSave(text: string): Ruleset {
  const reader = new SaveReader();
  for (const line of text.split('\n')) reader.read(line);
  return reader.ruleset;
}

/** As {@link parseSave}, for thousands of lines: lets other work go on in between. */
export async function parseLongSave(text: string): Promise<Ruleset> {
  const reader = new SaveReader();
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at += LINES_PER_TURN) {
    for (const line of lines.slice(at, at + LINES_PER_TURN)) reader.read(line);
    await otherWork();
  }
  return reader.ruleset;
}

class SaveReader {
  readonly ruleset = new Map<string, Table>();
  #chains = new Map<string, string[]>();
  #others = new Map<string, string[]>();
  #table = '';

  read(line: string): void {
    if (line.startsWith('*')) {
      this.#chains = new Map();
      this.#others = new Map();
      this.#table = line.slice(1);
      this.ruleset.set(this.#table, { chains: this.#chains, hooks: this.#others });
    } else if (line.startsWith(':')) {
      const name = line.slice(1, line.indexOf(' '));
      (isOwnChain(name) ? this.#chains : this.#others).set(name, []);
    } else if (line.startsWith('-A ')) {
      const [name = ''] = line.slice(3).split(' ', 1);
      (this.#chains.get(name) ?? this.#others.get(name))?.push(line.slice(name.length + 4));
    } else if (line === 'COMMIT') {
      keepHooks(this.#others, this.#table === 'filter' ? ours : downToOurs);
    }
  }
}

function keepHooks(chains: Map<string, string[]>, kept: (rules: readonly string[]) => string[]): void {
  for (const [name, rules] of chains) {
    if (rules.some(jumpsToOwnChain)) chains.set(name, kept(rules));
    else chains.delete(name);
  }
}

function ours(rules: readonly string[]): string[] {
  return rules.filter(jumpsToOwnChain);
}

function downToOurs(rules: readonly string[]): string[] {
  const end = rules.findLastIndex((rule) => jumpsToOwnChain(rule) && !isLast(rule)) + 1;
  return [...rules.slice(0, end), ...ours(rules.slice(end))];
}

/** How to change the actual rules to the wanted ones. */
export interface Repair {
  /** Input for `iptables-restore --noflush`, one transaction for each table. Empty if nothing differs. */
  readonly script: string;
  /** Chains and hooks that differ. */
  readonly count: number;
}

export function difference(actual: Ruleset, wanted: Ruleset): Repair {
  const scripts: string[] = [];
  let count = 0;
  for (const name of new Set([...wanted.keys(), ...actual.keys()])) {
    const lines = tableDifference(actual.get(name) ?? EMPTY, wanted.get(name) ?? EMPTY);
    if (lines.count === 0) continue;
    count += lines.count;
    scripts.push(
      `*${name}`,
      ...lines.declare,
      ...lines.unhook,
      ...lines.fill,
      ...lines.hook,
      ...lines.drop,
      'COMMIT',
    );
  }
  return { script: scripts.length === 0 ? '' : `${scripts.join('\n')}\n`, count };
}

const EMPTY: Table = { chains: new Map(), hooks: new Map() };

/**
 * The lines for one table, in the order in which restore needs them. A chain must exist before a jump to it
 * is added. No jump may lead to a chain when the chain is deleted.
 */
interface TableScript {
  /** With `--noflush`, the declaration of a chain creates it, or empties it if it exists. */
  declare: string[];
  unhook: string[];
  fill: string[];
  hook: string[];
  drop: string[];
  count: number;
}

function tableDifference(actual: Table, wanted: Table): TableScript {
  const lines: TableScript = { declare: [], unhook: [], fill: [], hook: [], drop: [], count: 0 };
  for (const [present, chains] of differingParts(actual.chains, wanted.chains)) {
    addChainDifference(lines, present, chains);
  }
  for (const chain of new Set([...wanted.hooks.keys(), ...actual.hooks.keys()])) {
    const present = actual.hooks.get(chain) ?? [];
    const hooks = wanted.hooks.get(chain) ?? [];
    if (sameRules(present, hooks)) continue;
    lines.count++;
    for (const rule of present.filter(jumpsToOwnChain)) lines.unhook.push(`-D ${chain} ${rule}`);
    for (const rule of hooks.filter((hook) => !isLast(hook)).toReversed())
      lines.hook.push(`-I ${chain} ${rule}`);
    for (const rule of hooks.filter(isLast)) lines.hook.push(`-A ${chain} ${rule}`);
  }
  return lines;
}

function addChainDifference(lines: TableScript, actual: Table['chains'], wanted: Table['chains']): void {
  for (const [name, rules] of wanted) {
    if (sameRules(actual.get(name), rules)) continue;
    lines.count++;
    lines.declare.push(`:${name} - [0:0]`);
    for (const rule of rules) lines.fill.push(`-A ${name} ${rule}`);
  }
  for (const name of actual.keys()) {
    if (wanted.has(name)) continue;
    lines.count++;
    lines.declare.push(`:${name} - [0:0]`);
    lines.drop.push(`-X ${name}`);
  }
}

function sameRules(a: readonly string[] | undefined, b: readonly string[]): boolean {
  if (a === b) return true;
  return (
    a?.length === b.length &&
    b.every((rule, i) => a[i] === rule || normalized(a[i] ?? '') === normalized(rule))
  );
}

/**
 * Removes what versions of iptables print differently: quotes, the names of loaded matches, full-length
 * masks.
 */
function normalized(rule: string): string {
  return rule
    .replaceAll('"', '')
    .replace(/ -m \w+/g, '')
    .replace(/\/(?:32|128)(?= )/g, '');
}
