import type { RedirectDriver } from '../redirect/driver.js';
import type { ActivePortals } from './activeportals.js';
import type { ForwardingWatch } from './forwardingwatch.js';
import type { ProxyOptions } from './options.js';
import { logFailure, type Reconciler } from './reconciler.js';
import type { Redirects } from './redirects.js';

/** Milliseconds. A listener that could not be opened is tried again after this time. */
const RETRY_PERIOD_MS = 5000;
/** Milliseconds. So often the driver is asked whether other programs removed redirects. */
const DISTURBANCE_PERIOD_MS = 500;

export interface UpkeepTools {
  readonly reconciler: Pick<Reconciler, 'retry'>;
  readonly forwarding: Pick<ForwardingWatch, 'check'>;
  readonly redirects: Pick<Redirects, 'audit' | 'wereDisturbed'>;
  readonly driver: Pick<RedirectDriver, 'wasDisturbed'>;
  readonly portals: ActivePortals;
  readonly options: Pick<ProxyOptions, 'syncPeriodMs' | 'log'>;
}

/** Keeps the node in its desired state: it retries, audits, and repairs what other programs remove. */
export class Upkeep {
  readonly #tools: UpkeepTools;
  readonly #timers: NodeJS.Timeout[] = [];
  #hasEnded = false;

  constructor(tools: UpkeepTools) {
    this.#tools = tools;
    const { driver, reconciler, forwarding } = tools;
    const { syncPeriodMs } = tools.options;
    if (driver.wasDisturbed) this.#every(DISTURBANCE_PERIOD_MS, () => this.#repairSoon());
    this.#every(syncPeriodMs, () => this.#audit());
    this.#every(Math.min(RETRY_PERIOD_MS, syncPeriodMs), () => reconciler.retry());
    this.#every(Math.min(RETRY_PERIOD_MS, syncPeriodMs), () => forwarding.check());
  }

  /** Begins no more work. Work that runs goes on. */
  end(): void {
    this.#hasEnded = true;
    for (const timer of this.#timers) clearInterval(timer);
  }

  /**
   * Does the work after each period. If the work takes longer than the period, a turn is left out.
   */
  #every(periodMs: number, work: () => Promise<void>): void {
    let isBusy = false;
    const tick = async () => {
      if (isBusy) return;
      isBusy = true;
      await work().catch(logFailure(this.#tools.options.log));
      isBusy = false;
    };
    this.#timers.push(setInterval(tick, periodMs));
  }

  async #audit(): Promise<void> {
    if (!this.#hasEnded) await this.#tools.redirects.audit(this.#tools.portals);
  }

  async #repairSoon(): Promise<void> {
    if (await this.#tools.redirects.wereDisturbed()) await this.#audit();
  }
}
