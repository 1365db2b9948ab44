import { createCounterMemory, workerCells } from '../../../lib/dataplane/shared/counters.js';
import type { WorkerPortal } from '../../../lib/dataplane/shared/messages.js';
import { PinTable } from '../../../lib/dataplane/worker/pins.js';
import { ServedPortal } from '../../../lib/dataplane/worker/servedportal.js';
import { ServiceEndpoints } from '../../../lib/dataplane/worker/serviceendpoints.js';
import { OwnersOfServices } from '../../../lib/dataplane/worker/udp/rtps/ownersofservices.js';
import { EVERYONE } from '../../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../../lib/portal/policy.js';

/** A portal inside a worker of its own, whose clock stands still. */
export function servedPortal(over: Partial<WorkerPortal> = {}): ServedPortal {
  const now = () => 1;
  const context = {
    pins: new PinTable(10, now),
    services: new ServiceEndpoints(),
    roundRobin: new Int32Array(2),
    routing: { owners: new OwnersOfServices(), copiesPerSecond: 1000 },
    now,
  };
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
    ...over,
  };
  const portal = new ServedPortal(record, context, workerCells(createCounterMemory(1), 0));
  portal.update(record);
  return portal;
}
