import { type Capture, noCarrier, type PreparedChange, type RedirectDriver } from './driver.js';

/** Redirects nothing: clients use the proxy ports. For laptops and tests. */
export class NoneDriver implements RedirectDriver {
  readonly name = 'none';
  readonly bringsTraffic = false;
  readonly unsupported = new Map<never, never>();
  readonly carrier = noCarrier('--redirect=none makes no rules');

  captureOf(): Capture {
    return 'port';
  }

  async prepare(): Promise<PreparedChange> {
    return { commit: async () => {}, abandon: () => {} };
  }

  async audit(): Promise<number> {
    return 0;
  }

  async clear(): Promise<void> {}
}
