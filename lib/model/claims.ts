import { objectKey, type Service } from './objects.js';
import type { Protocol } from './portal.js';
import type { Front, Fronts } from './ports.js';
import type { Problem } from './problem.js';

/** A Service with what it asks for. */
export interface Claimant extends Fronts {
  readonly service: Service;
  /** Everything on the node that it wants for itself alone, each once. */
  readonly claims: readonly string[];
}

/** Who holds each claim. */
export type Owners = ReadonlyMap<string, Service>;

/** The addresses with port, and the node ports, that traffic for these fronts is recognised by. */
export function claimsOf(fronts: readonly Front[]): string[] {
  return [...new Set(fronts.flatMap((front) => [...vipClaims(front), ...nodePortClaims(front)]))];
}

/**
 * Gives each claim to the oldest Service that makes it, and among Services of one age to the first by
 * name, so that a newcomer never takes traffic from a Service that works.
 */
export function assignClaims(claimants: Iterable<Claimant>): Owners {
  const owners = new Map<string, Service>();
  for (const { service, claims } of claimants) {
    for (const claim of claims) {
      const owner = owners.get(claim);
      if (owner === undefined || comesBefore(service, owner)) owners.set(claim, service);
    }
  }
  return owners;
}

/** Claims that another Service holds, with that Service; empty in all ordinary cases. */
export function lostClaims({ service, claims }: Claimant, owners: Owners): ReadonlyMap<string, Service> {
  const lost = new Map<string, Service>();
  for (const claim of claims) {
    const owner = owners.get(claim);
    if (owner !== undefined && owner !== service) lost.set(claim, owner);
  }
  return lost;
}

/** The fronts without what was lost; those with nothing left to listen for go. */
export function keptFronts(fronts: readonly Front[], lost: ReadonlyMap<string, Service>): readonly Front[] {
  if (lost.size === 0) return fronts;
  return fronts
    .map((front) => ({
      ...front,
      vips: front.vips.filter((vip) => !lost.has(vipClaim(vip.address, vip.port, front.protocol))),
      nodePort: nodePortClaims(front).some((claim) => lost.has(claim)) ? null : front.nodePort,
    }))
    .filter((front) => front.vips.length > 0 || front.nodePort !== null);
}

/** One problem per lost claim, naming both Services. */
export function claimProblems(service: Service, lost: ReadonlyMap<string, Service>): Problem[] {
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
  return address.includes(':') ? `[${address}]:${port}/${protocol}` : `${address}:${port}/${protocol}`;
}
