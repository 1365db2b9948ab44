import type { DescriptorBudget } from '../../../shared/budget.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { UdpFlow } from '../flow.js';
import type { FlowLifetimes } from '../lifetimes.js';

/** The descriptors of flows' sockets. Each flow takes one from the budget. */
export class FlowDescriptors {
  /** @param lifetimes ends other flows if no descriptor is left */
  constructor(
    readonly budget: DescriptorBudget,
    readonly lifetimes: FlowLifetimes,
    readonly report: (event: DataplaneEvent) => void,
  ) {}

  /** @returns false if no descriptor can be freed */
  takeFor(flow: UdpFlow): boolean {
    if (this.budget.take(1)) return true;
    this.report({ kind: 'descriptorsOut' });
    if (flow.previousCarrier !== null) flow.previousCarrier.close();
    else if (!this.lifetimes.evictOther(flow)) return false;
    return this.budget.take(1);
  }

  give(): void {
    this.budget.give(1);
  }
}
