import type { RedirectChange, RedirectDriver } from './driver.js';

/** Portals listen on their proxy ports and nothing brings the VIPs' traffic there: for laptops and tests. */
export class NoneDriver implements RedirectDriver {
  readonly name = 'none';
  readonly capture = 'port';
  readonly unsupported = new Map<never, never>();

  async apply(_change: RedirectChange, listening?: Promise<void>): Promise<void> {
    await listening;
  }

  async audit(): Promise<number> {
    return 0;
  }

  async clear(): Promise<void> {}
}
