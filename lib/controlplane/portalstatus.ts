import { hostPort } from '../net/hostport.js';
import type { Portal } from '../portal/portal.js';
import { affinityStatus, type PortalStatus } from '../portal/status.js';
import type { Carriers } from './carriers.js';
import type { PortalProblem } from './portalproblem.js';

/** What only this node knows of a portal. */
export interface LocalState extends Pick<PortalStatus, 'carrier'> {
  readonly state: PortalStatus['state'];
  /** Null: the portal has none, or the driver leads to no port. */
  readonly proxyPort: number | null;
  readonly problems: readonly PortalProblem[];
  /** Why the driver serves no VIPs of the portal's family. Undefined: it serves them. */
  readonly unsupported: string | undefined;
  readonly carriers: Pick<Carriers, 'obstacleTo' | 'problemOf'>;
}

/** The portal as the status API shows it. */
export function portalStatus(portal: Portal, local: LocalState): PortalStatus {
  const { key, service, portName, protocol, family, vips, nodePort, endpoints, policy } = portal;
  const { state, proxyPort, carrier, carriers } = local;
  return {
    key,
    service,
    portName,
    protocol,
    family,
    vips,
    nodePort,
    proxyPort,
    endpoints: endpoints.map(({ address, port }) => hostPort(address, port)),
    affinity: affinityStatus(policy),
    rtpsRouting: policy.rtpsRouting,
    activeStandby: policy.activeStandby,
    state,
    carrier,
    relayReason: carriers.obstacleTo(portal),
    problems: problemsOf(portal, local),
  };
}

function problemsOf(portal: Portal, { problems, unsupported, carriers }: LocalState): string[] {
  const messages = problems.map(({ message }) => message);
  if (unsupported !== undefined)
    return [`VIPs of ${portal.family} are not served: ${unsupported}`, ...messages];
  const carrierProblem = carriers.problemOf(portal);
  return carrierProblem === null ? messages : [...messages, carrierProblem];
}
