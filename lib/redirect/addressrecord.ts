import type { Logger } from 'pino';
import { canonicalAddress } from '../net/address.js';
import { ADDRESSES_FILE, mappingOf, StateFile, StateMemory } from '../state/statefile.js';

/**
 * `<stateDir>/addresses.json`: the addresses that kube-portal added to the loopback device. Linux before 5.18
 * cannot tell this for IPv6.
 */
export function addressMemory(stateDir: string, log: Logger): StateMemory {
  return new StateMemory(new StateFile(stateDir, ADDRESSES_FILE), log, {
    what: 'which addresses are ours',
    loss: 'on Linux before 5.18, IPv6 addresses of a killed run stay on the loopback device (ip addr show dev lo)',
  });
}

/** @throws Error if the value is not a record of addresses */
export function recordedAddresses(value: unknown): Set<string> {
  const { addresses } = mappingOf(value);
  if (!Array.isArray(addresses)) throw new Error('addresses is not a list');
  return new Set(addresses.map(addressOf));
}

function addressOf(value: unknown): string {
  const address = typeof value === 'string' ? canonicalAddress(value) : null;
  if (address === null) throw new Error('addresses holds a value that is not an IP address');
  return address;
}
