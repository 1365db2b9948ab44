import { hostPort } from '../net/hostport.js';
import type { Portal } from '../portal/portal.js';
import { affinityStatus, type PortalStatus } from '../portal/status.js';
import type { PortalProblem } from './portalproblem.js';

/** What only this node knows of a portal. */
export interface LocalState {
  readonly state: PortalStatus['state'];
  /** Null: the portal has none, or the driver leads to no port. */
  readonly proxyPort: number | null;
  readonly problems: readonly PortalProblem[];
  /** Why the driver serves no VIPs of the portal's family. Undefined: it serves them. */
  readonly unsupported: string | undefined;
}

/** The portal as the status API shows it. */
export function portalStatus(
  { key, service, portName, protocol, family, vips, nodePort, endpoints, policy }: Portal,
  { state, proxyPort, problems, unsupported }: LocalState,
): PortalStatus {
  const messages = problems.map(({ message }) => message);
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
    problems:
      unsupported === undefined
        ? messages
        : [`VIPs of ${family} are not served: ${unsupported}`, ...messages],
  };
}
