import { isDeepStrictEqual } from 'node:util';
import type { Portal } from '../portal/portal.js';
import { leaveOutCircles } from './circles.js';
import type { Claims, ServiceGrant } from './claims.js';
import { compact } from './compact.js';
import { type ChosenEndpoints, selectEndpoints } from './endpoints.js';
import type { Frontend } from './frontends.js';
import { type HealthCheck, serviceHealthCheck } from './healthcheck.js';
import { mismatchProblems } from './mismatches.js';
import type { Node } from './node.js';
import { type EndpointSlice, objectKey } from './objects.js';
import type { Problem } from './problem.js';

/** The portals, the problems and the health check that were made from one Service. */
export interface ServiceState {
  readonly grant: ServiceGrant;
  readonly portals: readonly Portal[];
  readonly problems: readonly Problem[];
  readonly healthCheck: HealthCheck | null;
}

/**
 * Makes the portals, the problems and the health check of one Service.
 *
 * @param group the slices of the Service
 * @param before the earlier state; a portal that is equal to an earlier one is the same object (`===`)
 */
export function makeServiceState(
  grant: ServiceGrant,
  group: readonly EndpointSlice[],
  claims: Claims,
  node: Node,
  before: ServiceState | undefined,
): ServiceState {
  const { service } = grant.request;
  const { slices, problems } = leaveOutCircles(service, group, claims, node);
  const portals = grant.frontends.map((frontend) => {
    const portal = makePortal(frontend, selectEndpoints(service, frontend, slices, node));
    return before?.portals.find((known) => isDeepStrictEqual(known, portal)) ?? portal;
  });
  const ofSlices =
    portals.length > 0
      ? [...nameProblems(slices), ...problems, ...mismatchProblems(service, portals, group)]
      : [];
  const healthCheck = serviceHealthCheck(service, slices, node, before?.healthCheck ?? null);
  return { grant, portals, problems: compact([...grant.problems, ...ofSlices]), healthCheck };
}

/**
 * Named member by member: V8 makes a separate hidden class for each object that is built from spreads, which
 * takes 400 bytes.
 */
function makePortal(frontend: Frontend, { endpoints, unserved }: ChosenEndpoints): Portal {
  const { key, service, portName, protocol, family, vips, nodePort, nodePortMasquerade, policy, admission } =
    frontend;
  return {
    key,
    service,
    portName,
    protocol,
    family,
    vips,
    nodePort,
    nodePortMasquerade,
    policy,
    admission,
    endpoints,
    unserved,
  };
}

function nameProblems(slices: readonly EndpointSlice[]): Problem[] {
  return slices
    .filter(({ addressType }) => addressType === 'FQDN')
    .map((slice) => ({
      object: `EndpointSlice ${objectKey(slice)}`,
      field: 'addressType',
      message: 'FQDN endpoints are not proxied; give IPv4 or IPv6 addresses',
    }));
}
