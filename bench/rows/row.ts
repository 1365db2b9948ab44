import type { Protocol } from '../../lib/net/protocol.js';
import type { Contender } from '../contenders/contender.js';
import type { Turn } from '../turn.js';
import type { Figure, Values } from './figure.js';

/** A measurement that is made for every contender. */
export interface Row {
  readonly id: string;
  readonly title: string;
  /** The main figure comes first. */
  readonly figures: readonly [Figure, ...Figure[]];
  /** True: measured in the first round only, because it takes long and varies little. */
  readonly isMeasuredOnce?: boolean;
  /** Whether the contender can take part. */
  suits(contender: Contender): boolean;
  measure(turn: Turn): Promise<Values>;
}

export function relays(protocol: Protocol): Row['suits'] {
  return ({ protocols }) => protocols.includes(protocol);
}
