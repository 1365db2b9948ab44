import { Carriers } from '../../lib/controlplane/carriers.js';
import type { CarrierReasons } from '../../lib/dataplane/shared/carrier.js';
import type { CarrierOptions } from '../../lib/portal/carrier.js';
import { type CarrierSupport, noCarrier } from '../../lib/redirect/driver.js';
import { RELAY } from '../portal/fixtures.js';

/** A node on which everything works that the kernel needs to carry, except for what is given. */
export interface CarryingNode {
  readonly options?: Partial<CarrierOptions>;
  readonly driver?: CarrierSupport;
  readonly worker?: CarrierReasons;
}

export const ALL: CarrierSupport = { IPv4: null, IPv6: null };
export const BOTH: CarrierReasons = { TCP: null, UDP: null };

/** The carriers of a node with two workers. `asked` gets a line for each question to others. */
export function carriersOf(
  { options = {}, driver = ALL, worker = BOTH }: CarryingNode,
  asked: string[] = [],
): Carriers {
  return new Carriers({
    options: { ...RELAY, ...options },
    workers: 2,
    redirects: { openCarrier: async () => driver },
    dataplane: {
      openCarrier: async () => {
        asked.push('workers');
        return worker;
      },
    },
    log: { info: (line: string) => void asked.push(`log: ${line}`) },
    forwarding: {
      begin: async () => {
        asked.push('forwarding');
      },
    },
  });
}

/** The carriers of a node that relays everything. */
export function relayOnly(): Carriers {
  return carriersOf({ driver: noCarrier('a node of a test') });
}
