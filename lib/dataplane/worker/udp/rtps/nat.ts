import type { Announcement } from '../../../../rtps/announcement.js';

const NOTHING: readonly string[] = [];

/**
 * The addresses that a participant announces, if its datagrams come from none of them. Then there is NAT
 * between, and answers to the announced addresses do not arrive. A host with several addresses announces most
 * of them, and sends from one of these.
 * @param client the address that its datagrams come from
 * @returns an empty list if it can be reached, or announces no address
 */
export function unreachableAddresses({ metatraffic, data }: Announcement, client: string): readonly string[] {
  const announced = new Set([...metatraffic, ...data].map(({ address }) => address));
  return announced.has(client) ? NOTHING : [...announced];
}
