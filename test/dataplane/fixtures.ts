import type { DataplanePortal } from '../../lib/dataplane/dataplaneportal.js';
import type { ListenerGroup, ListenerSpec } from '../../lib/dataplane/listeners.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';

/** Where the portals of these tests listen: any port of this machine. */
export const LISTENER: ListenerSpec = {
  protocol: 'TCP',
  family: 'IPv4',
  address: '127.0.0.1',
  port: 0,
  neighbours: 'none',
  freeBind: false,
  onlyWorker: null,
};

/** A TCP portal that everybody may use. */
export function tcpPortal(
  id: number,
  group: ListenerGroup,
  endpoints: DataplanePortal['endpoints'],
): DataplanePortal {
  return {
    id,
    key: 'default/web:/TCP/IPv4',
    service: 'default/web',
    protocol: 'TCP',
    family: 'IPv4',
    listeners: [{ group, redirectedPort: null }],
    endpoints,
    policy: DEFAULT_POLICY,
    onlyWorker: null,
    admission: EVERYONE,
    carriage: null,
  };
}
