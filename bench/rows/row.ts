import type { Protocol } from '../../lib/net/protocol.js';
import type { Contender } from '../contenders/contender.js';
import type { Turn } from '../turn.js';
import type { Figure, Values } from './figure.js';

/** One thing that is measured of every contender. */
export interface Row {
  readonly id: string;
  readonly title: string;
  /** What it is about comes first. */
  readonly figures: readonly [Figure, ...Figure[]];
  /** Takes long and varies little: measured in the first round only. */
  readonly once?: boolean;
  /** Whether the contender can take part. */
  suits(contender: Contender): boolean;
  measure(turn: Turn): Promise<Values>;
}

export function relays(protocol: Protocol): Row['suits'] {
  return ({ protocols }) => protocols.includes(protocol);
}
