import type { Change } from './changes.js';
import { objectKey, type Service, type ServiceProtocol } from './objects.js';
import { type Front, type Fronts, serviceFronts } from './ports.js';
import type { Problem } from './problem.js';
import { SharedMap } from './sharedmap.js';

/** A Service with what it asks for. */
interface Claimant extends Fronts {
  readonly service: Service;
}

/** A Service with the fronts that are really its own. */
export interface Claimed extends Fronts {
  readonly claimant: Claimant;
}

/** Which Service has what, and who waits for it. */
export interface Claims {
  /** By `namespace/name` of the Service. */
  readonly claimed: SharedMap<Claimed>;
  /** By claim: the Services that ask for the same thing on the node, the one that has it first. */
  readonly queues: SharedMap<Queue>;
}

type Queue = readonly Service[];

/** Lost claims with the Services that hold them. */
type Losses = ReadonlyMap<string, Service>;

export const NO_CLAIMS: Claims = { claimed: SharedMap.empty(), queues: SharedMap.empty() };

const NO_LOSSES: Losses = new Map();

/**
 * Settles which Service gets each VIP and port, and each node port: the oldest, and among Services of one age the first by
 * name, so that a newcomer never takes traffic from a Service that works. The loser's problem names both.
 *
 * Only what the changed Services ask for, or asked for, is looked at; all else is taken from `before`, by identity.
 */
export function settleClaims(
  changes: readonly Change<Service>[],
  podCidrs: readonly string[],
  before: Claims,
): Claims {
  const claimants = new Map<string, Claimant | undefined>();
  for (const { key, after } of changes) claimants.set(key, after && makeClaimant(after, podCidrs));
  const requeued = requeue(claimants, before);
  const queues = before.queues.with(requeued);
  const settled = new Map<string, Claimed | undefined>();
  for (const key of new Set([...claimants.keys(), ...inNewOrder(requeued, before.queues)])) {
    const known = before.claimed.get(key);
    const claimant = claimants.has(key) ? claimants.get(key) : known?.claimant;
    settled.set(key, claimant && settle(claimant, queues, known));
  }
  return { claimed: before.claimed.with(settled), queues };
}

function makeClaimant(service: Service, podCidrs: readonly string[]): Claimant {
  return { service, ...serviceFronts(service, podCidrs) };
}

/** The queues that the new claimants join, and those that their earlier versions leave. */
function requeue(
  claimants: ReadonlyMap<string, Claimant | undefined>,
  { claimed, queues }: Claims,
): ReadonlyMap<string, Queue | undefined> {
  const changed = new Map<string, Queue | undefined>();
  const queueOf = (claim: string) => (changed.has(claim) ? changed.get(claim) : queues.get(claim)) ?? [];
  for (const [key, claimant] of claimants) {
    const old = claimed.get(key)?.claimant;
    for (const claim of claimsOf(old)) changed.set(claim, without(queueOf(claim), old!.service));
    // Hardly anything is asked for twice: one array will do for all that a Service has.
    const alone = claimant && [claimant.service];
    for (const claim of claimsOf(claimant)) {
      const queue = queueOf(claim);
      changed.set(claim, queue.length === 0 ? alone : queue.concat(claimant!.service).sort(compareClaimants));
    }
  }
  return changed;
}

/** No queue is kept where nobody is left. */
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

function settle(claimant: Claimant, queues: Claims['queues'], before: Claimed | undefined): Claimed {
  const losses = findLosses(claimant, queues);
  if (losses.size > 0) {
    const problems = [...claimant.problems, ...lossProblems(claimant.service, losses)];
    return { claimant, fronts: keptFronts(claimant.fronts, losses), problems };
  }
  if (before?.claimant === claimant && before.fronts === claimant.fronts) return before;
  return { claimant, fronts: claimant.fronts, problems: claimant.problems };
}

function findLosses(claimant: Claimant, queues: Claims['queues']): Losses {
  const ownerOf = (claim: string) => queues.get(claim)![0]!;
  const lost = claimsOf(claimant).filter((claim) => ownerOf(claim) !== claimant.service);
  return lost.length === 0 ? NO_LOSSES : new Map(lost.map((claim) => [claim, ownerOf(claim)]));
}

/** The fronts without what was lost; those with nothing left to listen for go. */
function keptFronts(fronts: readonly Front[], lost: Losses): readonly Front[] {
  const kept = fronts
    .map((front) => ({
      ...front,
      vips: front.vips.filter((vip) => !lost.has(vipClaim(vip.address, vip.port, front.protocol))),
      nodePort: nodePortClaims(front).some((claim) => lost.has(claim)) ? null : front.nodePort,
    }))
    .filter((front) => front.vips.length > 0 || front.nodePort !== null);
  const keys = new Set(kept.map(({ key }) => key));
  return kept.map((front) => (keys.has(front.insiders?.key ?? '') ? front : { ...front, insiders: null }));
}

/** One problem per lost claim, naming both Services. */
function lossProblems(service: Service, lost: Losses): Problem[] {
  return [...lost].map(([claim, owner]) => ({
    object: `Service ${objectKey(service)}`,
    message: `${claim} already belongs to Service ${objectKey(owner)}, which keeps it`,
  }));
}

/** An unknown age counts as new: it must not beat a known one. */
function compareClaimants(a: Service, b: Service): number {
  const age = (a.createdMs ?? Number.MAX_VALUE) - (b.createdMs ?? Number.MAX_VALUE);
  return age || (objectKey(a) < objectKey(b) ? -1 : 1);
}

/** Everything on the node that a Service wants for itself alone, each once. */
function claimsOf(claimant: Claimant | undefined): string[] {
  const claims = claimant?.fronts.flatMap((front) => [...vipClaims(front), ...nodePortClaims(front)]);
  return [...new Set(claims)];
}

function vipClaims(front: Front): string[] {
  return front.vips.map((vip) => vipClaim(vip.address, vip.port, front.protocol));
}

function nodePortClaims({ nodePort, protocol }: Front): string[] {
  return nodePort === null ? [] : [nodePortClaim(nodePort, protocol)];
}

/** The claim to a port on all addresses where NodePorts are served. */
export function nodePortClaim(port: number, protocol: ServiceProtocol): string {
  return `node port ${port}/${protocol}`;
}

/** The claim to one port of an address. */
export function vipClaim(address: string, port: number, protocol: ServiceProtocol): string {
  return [address.includes(':') ? `[${address}]` : address, ':', port, '/', protocol].join('');
}
