import { bracketed } from '../net/hostport.js';
import type { Change } from './changes.js';
import { type Frontend, type Frontends, serviceFrontends, withInsiders } from './frontends.js';
import { objectKey, type Service, type ServiceProtocol } from './objects.js';
import type { Problem } from './problem.js';
import { SharedMap } from './sharedmap.js';

/** A Service with what it asks for. */
interface ServiceRequest extends Frontends {
  readonly service: Service;
}

/** A Service with the frontends that are really its own. */
export interface ServiceGrant extends Frontends {
  readonly request: ServiceRequest;
}

/** Which Service has what, and who waits for it. */
export interface Claims {
  /** By `namespace/name` of the Service. */
  readonly grants: SharedMap<ServiceGrant>;
  /** By claim: the Services that ask for the same thing on the node, the one that has it first. */
  readonly queues: SharedMap<Queue>;
}

type Queue = readonly Service[];

/** Lost claims with the Services that hold them. */
type Losses = ReadonlyMap<string, Service>;

export const NO_CLAIMS: Claims = { grants: SharedMap.empty(), queues: SharedMap.empty() };

const NO_LOSSES: Losses = new Map();

/**
 * Settles which Service gets each VIP and port, and each node port: the oldest one. Among Services of one age
 * it is the first by name. So a new Service never takes traffic from one that works. The loser's problem
 * names both.
 *
 * This looks only at what the changed Services ask for, or asked for before. All else is taken from `before`,
 * by identity.
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

/** The queues that the new requests join, and those that their earlier versions leave. */
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
    // Hardly anything is asked for twice: one array will do for all that a Service has.
    const alone = [request.service];
    for (const claim of claimsOf(request)) {
      const queue = queueOf(claim);
      changed.set(claim, queue.length === 0 ? alone : queue.concat(request.service).sort(byAge));
    }
  }
  return changed;
}

/** The queue without a Service; undefined where nobody is left, since empty queues are not kept. */
function without(queue: Queue, service: Service): Queue | undefined {
  const others = queue.filter((one) => one !== service);
  return others.length === 0 ? undefined : others;
}

/** Keys of all Services in the queues that have another first one now. */
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

/** The frontends without what was lost; those with nothing left to listen for go. */
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

/** One problem per lost claim, naming both Services. */
function lossProblems(service: Service, lost: Losses): Problem[] {
  return [...lost].map(([claim, owner]) => ({
    object: `Service ${objectKey(service)}`,
    message: `${claim} already belongs to Service ${objectKey(owner)}, which keeps it`,
  }));
}

/** An unknown age counts as new: it must not beat a known one. */
function byAge(a: Service, b: Service): number {
  const age = (a.createdMs ?? Number.MAX_VALUE) - (b.createdMs ?? Number.MAX_VALUE);
  return age || (objectKey(a) < objectKey(b) ? -1 : 1);
}

/** Everything on the node that a Service wants for itself alone, each once. */
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
