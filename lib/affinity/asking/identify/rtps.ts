import { announcementOf, farewellOf } from '../../../rtps/announcing.js';
import { destinationAt, isRtps, SOURCE_PREFIX_AT } from '../../../rtps/message.js';
import { isSamePrefix, prefixText } from '../../../rtps/prefix.js';
import { ABSENT } from '../../../rtps/submessages.js';
import { FAST_DDS } from '../../../rtps/vendor.js';
import type { Asker, Dialect } from './dialect.js';

/** First port of domain 0, and ports of one domain (DDSI-RTPS 2.5, 9.6.2.3). */
const FIRST_PORT = 7400;
const PORTS_OF_DOMAIN = 250;
const LAST_DOMAIN = 232;
/** A participant that missed the farewell forgets the asker after this time, ms. */
const LEASE_MS = 10_000;

/**
 * A DDS participant. The question announces another participant, and the one that gets it answers to the
 * announced address. Its name is that of the endpoint that the answer comes from, or its GUID prefix. Each
 * question is from a participant of its own, because only a new one is answered.
 * @param port of the Service, from which the domain follows
 * @param isServer whether it is a Fast DDS discovery server, which answers its clients only
 */
export function rtps(port: number, isServer: boolean, names: ReadonlyMap<string, string>): Dialect {
  return {
    isAnsweredDirectly: true,
    question: (asker) =>
      announcementOf({
        prefix: prefixOf(asker),
        vendor: FAST_DDS,
        domainId: isServer ? 0 : domainOf(port),
        leaseMs: LEASE_MS,
        address: asker.address,
        port: asker.port,
        entityName: 'kube-portal-affinity',
        isClient: isServer,
      }),
    farewell: (asker) => farewellOf({ prefix: prefixOf(asker), vendor: FAST_DDS, isClient: isServer }),
    nameIn(datagram, asker, _isWhole, source = '') {
      if (!isRtps(datagram)) return undefined;
      const destination = destinationAt(datagram);
      const isForOther = destination !== ABSENT && !isSamePrefix(datagram, destination, prefixOf(asker), 0);
      return isForOther ? undefined : (names.get(source) ?? prefixText(datagram, SOURCE_PREFIX_AT));
    },
  };
}

/** The GUID prefix of the asker: its vendor, its token and the number of its question. */
function prefixOf({ token, question }: Asker): Uint8Array {
  const number = [(question >>> 8) & 0xff, question & 0xff];
  return Uint8Array.from([FAST_DDS >>> 8, FAST_DDS & 0xff, ...Buffer.from(token, 'hex'), ...number]);
}

/** Domain 0 for ports that are none of the standard's. */
function domainOf(port: number): number {
  const domain = Math.floor((port - FIRST_PORT) / PORTS_OF_DOMAIN);
  return domain >= 0 && domain <= LAST_DOMAIN ? domain : 0;
}
