import type { Dataplane } from '../dataplane/dataplane.js';
import {
  ALL_ENDPOINTS,
  type EndpointFilter,
  type EndpointStatus,
  type UsedEndpoint,
  unusedEndpoint,
} from '../dataplane/shared/endpoints.js';
import { hostPort } from '../net/hostport.js';
import type { ActivePortal } from './activeportal.js';

/** A portal whose endpoints are listed. */
type Listed = Pick<ActivePortal, 'id' | 'portal'>;

/** Endpoints of one question to the workers. They relay between two questions. */
const AT_ONCE = 1000;

/**
 * The endpoints of portals, and what the workers have counted of them, about a thousand at a time. The
 * workers are asked when the caller wants more.
 * @throws Error if a worker has ended
 */
export async function* listEndpoints(
  portals: Iterable<Listed>,
  { service, onlyUsed }: EndpointFilter,
  dataplane: Pick<Dataplane, 'usedEndpoints'>,
): AsyncGenerator<readonly EndpointStatus[]> {
  for (const chunk of chunksOf(portals, service)) {
    const sums = await dataplane.usedEndpoints(chunk.map(({ id }) => id));
    yield chunk.flatMap(({ id, portal }) => statusOf(portal, sums.of(id), onlyUsed));
  }
}

function* chunksOf(portals: Iterable<Listed>, service: string | null): Iterable<Listed[]> {
  let chunk: Listed[] = [];
  let size = 0;
  for (const active of portals) {
    if (service !== null && active.portal.service !== service) continue;
    chunk.push(active);
    size += 1 + active.portal.endpoints.length;
    if (size < AT_ONCE) continue;
    yield chunk;
    chunk = [];
    size = 0;
  }
  if (chunk.length > 0) yield chunk;
}

function statusOf(
  { key, service, portName, protocol, family, endpoints }: Listed['portal'],
  used: ReadonlyMap<string, UsedEndpoint>,
  onlyUsed: boolean,
): EndpointStatus[] {
  const name = { key, service, portName, protocol, family };
  const status = (pod: string | null, { isAvoided, ...counted }: UsedEndpoint): EndpointStatus => ({
    ...name,
    pod,
    state: isAvoided ? 'avoided' : 'ready',
    ...counted,
  });
  const listed = endpoints.flatMap(({ id, address, port }) => {
    const endpoint = hostPort(address, port);
    const counted = used.get(endpoint) ?? (onlyUsed ? null : unusedEndpoint(endpoint));
    return counted === null ? [] : status(id, counted);
  });
  const all = used.get(ALL_ENDPOINTS);
  return all === undefined ? listed : [...listed, status(null, all)];
}
