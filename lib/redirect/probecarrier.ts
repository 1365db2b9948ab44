import { accepts } from './tryrules.js';
import type { Xtables } from './xtables.js';

const QUEUE = '-j NFQUEUE --queue-num 0 --queue-bypass';
const CONNMARK = '-m connmark --mark 0x1/0x1 -j RETURN';
const SET_CONNMARK = '-j CONNMARK --set-xmark 0x1/0x1';
const CONNTRACK = '-m conntrack --ctstate ESTABLISHED ! --ctstatus ASSURED --ctdir REPLY -j RETURN';

/** A part of netfilter that the kernel carrier needs, and a rule that shows whether it is there. */
interface Part {
  readonly name: string;
  readonly table: 'raw' | 'mangle' | 'nat';
  readonly rule: string;
}

/**
 * Finds out whether this back end can have the rules that the kernel needs to carry a family's traffic.
 * Resolves to null if it can, else to a sentence with the consequence and what is missing.
 * @throws ProgramHung or LockHeld; then the answer is unknown
 */
export async function probeCarrier(xtables: Xtables): Promise<string | null> {
  const hasRaw = await accepts(xtables, 'raw', [QUEUE]);
  // Without it, clients would see what an endpoint refuses.
  if (hasRaw && (await accepts(xtables, 'mangle', [CONNMARK, CONNTRACK, SET_CONNMARK]))) return null;
  const missing: string[] = [];
  for (const { name, table, rule } of partsOf(xtables)) {
    if (!(await accepts(xtables, table, [rule]))) missing.push(name);
  }
  const parts = missing.length === 0 ? 'such rules in the tables raw and mangle' : missing.join(', ');
  return (
    `workers relay ${xtables.family} traffic, because the kernel or iptables lacks ${parts}; ` +
    'load the modules or build them in, then start again'
  );
}

/** Matches and targets are tried in the nat table, which is always there. */
function partsOf({ family }: Xtables): readonly Part[] {
  const ip = family === 'IPv4' ? 'IP' : 'IP6';
  return [
    { name: `the raw table (CONFIG_${ip}_NF_RAW)`, table: 'raw', rule: '-j RETURN' },
    { name: `the mangle table (CONFIG_${ip}_NF_MANGLE)`, table: 'mangle', rule: '-j RETURN' },
    { name: 'the target NFQUEUE (CONFIG_NETFILTER_XT_TARGET_NFQUEUE)', table: 'nat', rule: QUEUE },
    { name: 'the match connmark (CONFIG_NETFILTER_XT_MATCH_CONNMARK)', table: 'nat', rule: CONNMARK },
    { name: 'the target CONNMARK (CONFIG_NETFILTER_XT_TARGET_CONNMARK)', table: 'nat', rule: SET_CONNMARK },
    { name: 'the match conntrack (CONFIG_NETFILTER_XT_MATCH_CONNTRACK)', table: 'nat', rule: CONNTRACK },
  ];
}
