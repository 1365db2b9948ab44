import type { DescriptorBudget } from '../../../shared/budget.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { UdpFlow } from '../flow.js';
import type { FlowLifetimes } from '../lifetimes.js';

/** The descriptors of flows' sockets: each flow has one, out of the budget. */
export class FlowDescriptors {
  /** @param lifetimes asked for descriptors of other flows where there is none left */
  constructor(
    readonly budget: DescriptorBudget,
    readonly lifetimes: FlowLifetimes,
    readonly report: (event: DataplaneEvent) => void,
  ) {}

  /** @returns false where none is to be had */
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
