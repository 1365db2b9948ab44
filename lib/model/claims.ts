import { bracketed } from '../net/hostport.js';
import type { Change } from './changes.js';
import { type Frontend, type Frontends, serviceFrontends, withInsiders } from './frontends.js';
import { objectKey, type Service, type ServiceProtocol } from './objects.js';
import type { Problem } from './problem.js';
import { SharedMap } from './sharedmap.js';

/** A Service with the frontends that it asks for. */
interface ServiceRequest extends Frontends {
  readonly service: Service;
}

/** A Service with the frontends that it gets. */
export interface ServiceGrant extends Frontends {
  readonly request: ServiceRequest;
}

/** Which Service has which VIPs and node ports, and which other Services ask for the same. */
export interface Claims {
  /** By `namespace/name` of the Service. */
  readonly grants: SharedMap<ServiceGrant>;
  /** By claim: the Services that ask for the same VIP or node port. The first one in the queue has it. */
  readonly queues: SharedMap<Queue>;
}

type Queue = readonly Service[];

/** The claims that a Service lost, each with the Service that has it. */
type Losses = ReadonlyMap<string, Service>;

export const NO_CLAIMS: Claims = { grants: SharedMap.empty(), queues: SharedMap.empty() };

const NO_LOSSES: Losses = new Map();

/**
 * Decides which Service gets each VIP and port, and each node port. It is the oldest Service that asks for
 * it. If two have the same age, it is the first by name. So a new Service never takes traffic from one that
 * works. The other Services get a problem that names both Services.
 *
 * It looks only at the claims of the changed Services, before and after the change. All other grants are the
 * same objects (`===`) as in `before`.
 */
export function settleClaims(
  changes: readonly Change<Service>[],
  podCidrs: readonly string[],
  before: Claims,
): Claims {
  const requests = new Map<string, ServiceRequest | undefined>();
  for (const { key, after } of changes) requests.set(key, after && makeRequest(after, podCidrs));
  const requeued = requeue(requests, before);
  const queues = before.queues.with(requeued);
  const settled = new Map<string, ServiceGrant | undefined>();
  for (const key of new Set([...requests.keys(), ...inNewOrder(requeued, before.queues)])) {
    const known = before.grants.get(key);
    const request = requests.has(key) ? requests.get(key) : known?.request;
    settled.set(key, request && settle(request, queues, known));
  }
  return { grants: before.grants.with(settled), queues };
}

function makeRequest(service: Service, podCidrs: readonly string[]): ServiceRequest {
  const { frontends, problems } = serviceFrontends(service, podCidrs);
  return { service, frontends, problems };
}

/** The changed queues: those that the new requests join, and those that the earlier requests leave. */
function requeue(
  requests: ReadonlyMap<string, ServiceRequest | undefined>,
  { grants, queues }: Claims,
): ReadonlyMap<string, Queue | undefined> {
  const changed = new Map<string, Queue | undefined>();
  const queueOf = (claim: string) => (changed.has(claim) ? changed.get(claim) : queues.get(claim)) ?? [];
  for (const [key, request] of requests) {
    const old = grants.get(key)?.request;
    if (old !== undefined)
      for (const claim of claimsOf(old)) changed.set(claim, without(queueOf(claim), old.service));
    if (request === undefined) continue;
    // Hardly any claim has two Services, so all claims of a Service share one array.
    const alone = [request.service];
    for (const claim of claimsOf(request)) {
      const queue = queueOf(claim);
      changed.set(claim, queue.length === 0 ? alone : queue.concat(request.service).sort(byAge));
    }
  }
  return changed;
}

/** The queue without a Service. Undefined if it is empty then, because empty queues are not kept. */
function without(queue: Queue, service: Service): Queue | undefined {
  const others = queue.filter((other) => other !== service);
  return others.length === 0 ? undefined : others;
}

/** Keys of all Services in the queues whose first Service changed. */
function* inNewOrder(
  requeued: ReadonlyMap<string, Queue | undefined>,
  before: Claims['queues'],
): Generator<string> {
  for (const [claim, queue] of requeued) {
    if (queue === undefined || queue[0] === before.get(claim)?.[0]) continue;
    for (const service of queue) yield objectKey(service);
  }
}

function settle(
  request: ServiceRequest,
  queues: Claims['queues'],
  before: ServiceGrant | undefined,
): ServiceGrant {
  const losses = findLosses(request, queues);
  if (losses.size > 0) {
    const problems = [...request.problems, ...lossProblems(request.service, losses)];
    return { request, frontends: keptFrontends(request.frontends, losses), problems };
  }
  if (before?.request === request && before.frontends === request.frontends) return before;
  return { request, frontends: request.frontends, problems: request.problems };
}

function findLosses(request: ServiceRequest, queues: Claims['queues']): Losses {
  const ownerOf = (claim: string) => queues.get(claim)?.at(0) ?? request.service;
  const lost = claimsOf(request).filter((claim) => ownerOf(claim) !== request.service);
  return lost.length === 0 ? NO_LOSSES : new Map(lost.map((claim) => [claim, ownerOf(claim)]));
}

/** The frontends without the lost claims. A frontend without VIPs and node port is left out. */
function keptFrontends(frontends: readonly Frontend[], lost: Losses): readonly Frontend[] {
  const kept = frontends
    .map((frontend) => ({
      ...frontend,
      vips: frontend.vips.filter((vip) => !lost.has(vipClaim(vip.address, vip.port, frontend.protocol))),
      nodePort: nodePortClaims(frontend).some((claim) => lost.has(claim)) ? null : frontend.nodePort,
    }))
    .filter((frontend) => frontend.vips.length > 0 || frontend.nodePort !== null);
  const keys = new Set(kept.map(({ key }) => key));
  return kept.map((frontend) => {
    const { insiders } = frontend.admission;
    return insiders === null || keys.has(insiders.portal) ? frontend : withInsiders(frontend, null);
  });
}

/** One problem for each lost claim. It names both Services. */
function lossProblems(service: Service, lost: Losses): Problem[] {
  return [...lost].map(([claim, owner]) => ({
    object: `Service ${objectKey(service)}`,
    message: `${claim} already belongs to Service ${objectKey(owner)}, which is older or comes first by name; give this Service another address or port`,
  }));
}

/** A Service of unknown age counts as new, so it never takes a claim from one of known age. */
function byAge(a: Service, b: Service): number {
  const age = (a.createdMs ?? Number.MAX_VALUE) - (b.createdMs ?? Number.MAX_VALUE);
  return age || (objectKey(a) < objectKey(b) ? -1 : 1);
}

/** The VIPs and node ports that a Service asks for, each of them once. */
function claimsOf(request: ServiceRequest): string[] {
  const claims = request.frontends.flatMap((frontend) => [
    ...vipClaims(frontend),
    ...nodePortClaims(frontend),
  ]);
  return [...new Set(claims)];
}

function vipClaims(frontend: Frontend): string[] {
  return frontend.vips.map((vip) => vipClaim(vip.address, vip.port, frontend.protocol));
}

function nodePortClaims({ nodePort, protocol }: Frontend): string[] {
  return nodePort === null ? [] : [nodePortClaim(nodePort, protocol)];
}

/** The claim to a port on all addresses where NodePorts are served. */
export function nodePortClaim(port: number, protocol: ServiceProtocol): string {
  return `node port ${port}/${protocol}`;
}

/** The claim to one port of an address. */
export function vipClaim(address: string, port: number, protocol: ServiceProtocol): string {
  return [bracketed(address), ':', port, '/', protocol].join('');
}
