import type { RedirectChange, RedirectDriver } from '../../lib/redirect/driver.js';

/** Brings a change into effect, with portals that listen already. */
export async function apply(driver: RedirectDriver, change: RedirectChange): Promise<void> {
  const prepared = await driver.prepare(change);
  await prepared.commit();
}
