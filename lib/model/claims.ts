import { objectKey, type Service } from './objects.js';
import type { Protocol } from './portal.js';
import { type Front, type Fronts, serviceFronts } from './ports.js';
import type { Problem } from './problem.js';

/** A Service with what it asks for. */
interface Claimant extends Fronts {
  readonly service: Service;
  /** Everything on the node that it wants for itself alone, each once. */
  readonly claims: readonly string[];
}

/** A Service with the fronts that are really its own. */
export interface Claimed extends Fronts {
  readonly claimant: Claimant;
}

/** Lost claims with the Services that hold them. */
type Losses = ReadonlyMap<string, Service>;

const NO_LOSSES: Losses = new Map();

/**
 * Settles which Service gets each VIP and port, and each node port: the oldest, and among Services of one age the first by
 * name, so that a newcomer never takes traffic from a Service that works. The loser's problem names both.
 *
 * What did not change is taken from `before`, by identity.
 */
export function settleClaims(
  services: ReadonlyMap<string, Service>,
  podCidrs: readonly string[],
  before: ReadonlyMap<string, Claimed>,
): ReadonlyMap<string, Claimed> {
  const claimants = new Map<string, Claimant>();
  for (const [key, service] of services) {
    const known = before.get(key)?.claimant;
    claimants.set(key, known?.service === service ? known : makeClaimant(service, podCidrs));
  }
  const owners = assignClaims(claimants.values());
  const settled = new Map<string, Claimed>();
  for (const [key, claimant] of claimants) settled.set(key, settle(claimant, owners, before.get(key)));
  return settled;
}

function makeClaimant(service: Service, podCidrs: readonly string[]): Claimant {
  const { fronts, problems } = serviceFronts(service, podCidrs);
  const claims = fronts.flatMap((front) => [...vipClaims(front), ...nodePortClaims(front)]);
  return { service, fronts, problems, claims: [...new Set(claims)] };
}

function assignClaims(claimants: Iterable<Claimant>): ReadonlyMap<string, Service> {
  const owners = new Map<string, Service>();
  for (const { service, claims } of claimants) {
    for (const claim of claims) {
      const owner = owners.get(claim);
      if (owner === undefined || comesBefore(service, owner)) owners.set(claim, service);
    }
  }
  return owners;
}

function settle(
  claimant: Claimant,
  owners: ReadonlyMap<string, Service>,
  before: Claimed | undefined,
): Claimed {
  const losses = findLosses(claimant, owners);
  if (losses.size > 0) {
    const problems = [...claimant.problems, ...lossProblems(claimant.service, losses)];
    return { claimant, fronts: keptFronts(claimant.fronts, losses), problems };
  }
  if (before?.claimant === claimant && before.fronts === claimant.fronts) return before;
  return { claimant, fronts: claimant.fronts, problems: claimant.problems };
}

function findLosses({ service, claims }: Claimant, owners: ReadonlyMap<string, Service>): Losses {
  const lost = claims.filter((claim) => owners.get(claim) !== service);
  return lost.length === 0 ? NO_LOSSES : new Map(lost.map((claim) => [claim, owners.get(claim)!]));
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
function comesBefore(a: Service, b: Service): boolean {
  const age = (a.createdMs ?? Number.MAX_VALUE) - (b.createdMs ?? Number.MAX_VALUE);
  return age === 0 ? objectKey(a) < objectKey(b) : age < 0;
}

function vipClaims(front: Front): string[] {
  return front.vips.map((vip) => vipClaim(vip.address, vip.port, front.protocol));
}

function nodePortClaims({ nodePort, protocol }: Front): string[] {
  return nodePort === null ? [] : [`node port ${nodePort}/${protocol}`];
}

function vipClaim(address: string, port: number, protocol: Protocol): string {
  return [address.includes(':') ? `[${address}]` : address, ':', port, '/', protocol].join('');
}
