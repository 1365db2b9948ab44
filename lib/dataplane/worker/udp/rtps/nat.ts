import type { Announcement } from '../../../../rtps/announcement.js';

const NOTHING: readonly string[] = [];

/**
 * The addresses that a participant announces, if none of them is the one that it calls from: then there is
 * NAT between, and answers to what it announces do not arrive. A host with several addresses announces most
 * of them, and calls from one of these.
 * @param client the address that it calls from
 * @returns an empty list where it can be reached, or announces nothing
 */
export function unreachableAddresses({ metatraffic, data }: Announcement, client: string): readonly string[] {
  const announced = new Set([...metatraffic, ...data].map(({ address }) => address));
  return announced.has(client) ? NOTHING : [...announced];
}
