import { familyOf } from '../../lib/net/address.js';
import { parseHostPort } from '../../lib/net/hostport.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';
import type { Portal } from '../../lib/portal/portal.js';

interface PortalOptions {
  /** As `address:port`; at least one. */
  readonly vips: readonly string[];
  readonly nodePort?: number;
}

/** A portal without endpoints that everyone may use. @param key its Service and protocol are taken from it */
export function portalOf(key: string, { vips, nodePort }: PortalOptions): Portal {
  const places = vips.map((vip) => {
    const { host = '', port } = parseHostPort(vip) ?? {};
    return { address: host, port: port ?? 0, masquerade: 'never' as const };
  });
  return {
    key,
    service: key.split(':')[0] ?? '',
    portName: '',
    protocol: key.includes('/UDP/') ? 'UDP' : 'TCP',
    family: familyOf(places[0]?.address ?? ''),
    vips: places,
    nodePort: nodePort ?? null,
    nodePortMasquerade: 'never',
    policy: DEFAULT_POLICY,
    admission: EVERYONE,
    endpoints: [],
    unserved: 'refuse',
  };
}
