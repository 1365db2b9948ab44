import {
  type Capture,
  type CarrierSupport,
  noCarrier,
  type PreparedChange,
  type RedirectDriver,
} from './driver.js';

/** Redirects nothing: clients use the proxy ports. For laptops and tests. */
export class NoneDriver implements RedirectDriver {
  readonly name = 'none';
  readonly bringsTraffic = false;
  readonly unsupported = new Map<never, never>();

  captureOf(): Capture {
    return 'port';
  }

  async openCarrier(): Promise<CarrierSupport> {
    return noCarrier('--redirect=none makes no rules');
  }

  async prepare(): Promise<PreparedChange> {
    return { commit: async () => {}, abandon: () => {} };
  }

  async audit(): Promise<number> {
    return 0;
  }

  async clear(): Promise<void> {}
}
