import type { PortalCounters, PortalStatus } from '../../lib/controlplane/status.js';
import { COUNTER_FIELDS, type CounterValues } from '../../lib/dataplane/counters.js';

/** A portal in service; `over` says what is different. */
export function portalStatus(over: Partial<PortalStatus> = {}): PortalStatus {
  return {
    key: 'default/web:http/TCP/IPv4',
    service: 'default/web',
    portName: 'http',
    protocol: 'TCP',
    family: 'IPv4',
    vips: [{ address: '10.96.0.10', port: 80 }],
    nodePort: null,
    proxyPort: 20_000,
    endpoints: ['10.0.0.1:8080', '10.0.0.2:8080'],
    affinity: null,
    state: 'serving',
    problems: [],
    ...over,
  };
}

/** Counters that are all zero; `over` says which are not. */
export function portalCounters(over: Partial<PortalCounters> = {}): PortalCounters {
  const { key, service, portName, protocol, family } = portalStatus();
  const zeros = Object.fromEntries(COUNTER_FIELDS.map((field) => [field, 0])) as CounterValues;
  return { key, service, portName, protocol, family, ...zeros, ...over };
}
