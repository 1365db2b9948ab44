import { createCounterMemory, workerCells } from '../../../lib/dataplane/shared/counters.js';
import type { WorkerPortal } from '../../../lib/dataplane/shared/messages.js';
import type { PinChange } from '../../../lib/dataplane/shared/pins.js';
import type { BalancerContext } from '../../../lib/dataplane/worker/balancer.js';
import { PinOutbox } from '../../../lib/dataplane/worker/pinoutbox.js';
import { PinTable } from '../../../lib/dataplane/worker/pins.js';
import { ServedPortal } from '../../../lib/dataplane/worker/servedportal.js';
import { ServiceEndpoints } from '../../../lib/dataplane/worker/serviceendpoints.js';
import { RtpsServices } from '../../../lib/dataplane/worker/udp/rtps/services.js';
import { EVERYONE } from '../../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../../lib/portal/policy.js';

export interface WorkerOptions {
  /** The clock, ms. Unless given, it stands still. */
  readonly now?: () => number;
  readonly maxPins?: number;
  /** What workers share. */
  readonly roundRobin?: Int32Array;
  readonly cells?: Int32Array;
  /** What the main thread is told of pins. */
  readonly tell?: (changes: readonly PinChange[]) => void;
}

/** What the balancers of one worker share, and its outbox of pins. */
export function workerContext({
  now = () => 1,
  maxPins = 10,
  roundRobin = new Int32Array(8),
  cells = new Int32Array(100),
  tell = () => undefined,
}: WorkerOptions = {}): BalancerContext & { readonly outbox: PinOutbox; readonly cells: Int32Array } {
  const services = new ServiceEndpoints(cells);
  const outbox = new PinOutbox(tell);
  const pins = new PinTable({ capacity: maxPins, cells, endpoints: services, outbox, now });
  return { pins, services, roundRobin, now, outbox, cells };
}

/**
 * A portal inside a worker of its own, whose clock stands still.
 * @param cells the worker's counters
 */
export function servedPortal(
  over: Partial<WorkerPortal> = {},
  cells = workerCells(createCounterMemory(1), 0),
): ServedPortal {
  const record: WorkerPortal = {
    id: 1,
    key: 'default/web:/TCP/IPv4',
    service: 'default/web',
    protocol: 'TCP',
    family: 'IPv4',
    listeners: [],
    endpoints: [],
    policy: DEFAULT_POLICY,
    admission: EVERYONE,
    carriage: null,
    ...over,
  };
  const routing = { services: new RtpsServices(), copiesPerSecond: 1000 };
  const context = { ...workerContext(), routing };
  const portal = new ServedPortal(record, context, cells);
  portal.update(record);
  return portal;
}
