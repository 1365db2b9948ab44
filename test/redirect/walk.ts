import { BlockList } from 'node:net';
import type { Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import type { ChainTree } from '../../lib/redirect/chains.js';

export interface Packet {
  readonly family: Family;
  readonly address: string;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface Walk {
  /** The rule that took the packet, null where none did. */
  readonly rule: string | null;
  /** Rules that were looked at, the hook in PREROUTING among them. */
  readonly checks: number;
}

type Matcher = (packet: Packet) => boolean;

/** What netfilter does with a tree's rules, from their texts alone. */
export function walker(tree: ChainTree, family: Family): (packet: Packet) => Walk {
  const matchers = new Map<string, Matcher>();
  const chains = tree.chains();
  const matches = (rule: string, packet: Packet): boolean => {
    let matcher = matchers.get(rule);
    if (matcher === undefined) {
      matcher = compile(rule, family);
      matchers.set(rule, matcher);
    }
    return matcher(packet);
  };
  return (packet) => {
    let checks = 1;
    const follow = (rules: readonly string[]): string | null => {
      for (const rule of rules) {
        checks++;
        if (!matches(rule, packet)) continue;
        const target = /-j (\S+)/.exec(rule)?.[1] ?? '';
        if (target === 'REDIRECT') return rule;
        const taken = follow(chains.get(target) ?? missing(target));
        if (taken !== null) return taken;
      }
      return null;
    };
    return { rule: follow(tree.entrance()), checks };
  };
}

function missing(chain: string): never {
  throw new Error(`a rule jumps to ${chain}, which does not exist`);
}

function compile(rule: string, family: Family): Matcher {
  const type = family === 'IPv4' ? 'ipv4' : 'ipv6';
  const [, network, length] = /-d (\S+)\/(\d+)/.exec(rule) ?? [];
  const subnet = new BlockList();
  if (network !== undefined) subnet.addSubnet(network, Number(length), type);
  const protocol = /-p (\w+)/.exec(rule)?.[1]?.toUpperCase();
  const [, first, last = first] = /--dport (\d+)(?::(\d+))?/.exec(rule) ?? [];
  return (packet) =>
    (network === undefined || subnet.check(packet.address, type)) &&
    (protocol === undefined || protocol === packet.protocol) &&
    (first === undefined || (packet.port >= Number(first) && packet.port <= Number(last)));
}
