import { IPPROTO_UDP } from '../../../../sys/constants.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { FlowEntries } from '../kernel/entries.js';
import type { HotCarrier } from './hotcarrier.js';

/** What became of a hot flow's entry since the last question. */
export enum Use {
  /** The entry is gone, because the flow was idle for as long as the kernel keeps such flows. */
  Over,
  Idle,
  Used,
}

/** Asks the kernel whether hot flows are still used: their datagrams are not seen here. */
export class Usage {
  constructor(
    readonly entries: FlowEntries,
    readonly tools: KernelTools,
  ) {}

  of(carrier: HotCarrier): Use {
    const { lookups } = this.tools;
    let use = Use.Over;
    lookups.ask(IPPROTO_UDP, this.entries.clientOf(carrier.flow), carrier.vip.address);
    const code = lookups.exchange((_, { mark, source, timeout }) => {
      if (!this.tools.isOwn(mark) || source.port !== carrier.port) return;
      // Each packet sets the time-out again.
      const left = timeout ?? carrier.timeout;
      use = left < carrier.timeout ? Use.Idle : Use.Used;
      carrier.timeout = left;
    });
    // Without an answer, nobody knows.
    return code === 0 ? use : Use.Idle;
  }
}
