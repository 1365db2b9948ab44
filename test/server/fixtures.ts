import type { PortalCounters } from '../../lib/dataplane/shared/counters.js';
import { COUNTER_FIELDS, type CounterValues } from '../../lib/dataplane/shared/counters.js';
import type { PortalStatus } from '../../lib/portal/status.js';
import type { Routes } from '../../lib/server/http.js';

/** What a path answers, whole. */
export async function bodyOf(routes: Routes, path: string): Promise<string> {
  const { body } = await routes[path]!();
  return typeof body === 'string' ? body : [...body].join('');
}

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
