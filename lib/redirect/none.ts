import type { RedirectDriver } from './driver.js';

/** Portals listen on their proxy ports and nothing brings the VIPs' traffic there: for laptops and tests. */
export class NoneDriver implements RedirectDriver {
  readonly name = 'none';
  readonly capture = 'port';
  readonly unsupported = new Map<never, never>();

  async apply(): Promise<void> {}

  async audit(): Promise<number> {
    return 0;
  }

  async clear(): Promise<void> {}
}
