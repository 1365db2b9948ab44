import { ADDRESSES_FILE, StateFile } from '../state/statefile.js';
import { recordedAddresses } from './addressrecord.js';
import { RedirectError } from './driver.js';
import { openRoutes, oursAmong, removeFromLoopback } from './loopback.js';

/**
 * Removes the addresses that an earlier run left on the loopback device.
 * @returns the number of addresses removed
 * @throws RedirectError, also if the record is damaged; the addresses that the kernel knows are removed first
 */
export async function clearAddresses(stateDir: string): Promise<number> {
  const file = new StateFile(stateDir, ADDRESSES_FILE);
  const recorded = await file.read(recordedAddresses).catch((error: Error) => error);
  const isDamaged = recorded instanceof Error;
  const routes = openRoutes();
  try {
    const ours = oursAmong(await routes.addresses(), isDamaged || recorded === null ? new Set() : recorded);
    await removeFromLoopback(routes, ours);
    await file.remove();
    if (!isDamaged) return ours.length;
  } finally {
    routes.close();
  }
  throw new RedirectError(
    `${recorded.message}; this file is removed now, with all addresses that the kernel knows to be ours; "ip addr show dev lo" shows whether others are left`,
  );
}
