import type { Vip } from '../portal/portal.js';
import { isSamePlace, type WantedListener } from './wantedlisteners.js';

/**
 * Why a portal does not serve its clients as it should.
 *
 * - `no port`: no proxy port is free, so that there is nowhere to listen.
 * - `taken`: another program, or another server of this one, has the listener's place.
 * - `waiting`: a proxy port has the listener's place, and moves.
 * - `refused`: the kernel refuses the listener for another reason.
 * - `falls short`: the listener is open, and the kernel refuses a part of what it should do.
 */
export interface PortalProblem {
  readonly kind: 'no port' | 'taken' | 'waiting' | 'refused' | 'falls short';
  /** The listener that is not open. Null where there is no port for it, and where it falls short. */
  readonly missing: WantedListener | null;
  /** What is wrong, with the consequence, and what to do. */
  readonly message: string;
}

/** Whether the redirect has no open port to lead to. */
export function isWithoutProxyPort(problems: readonly PortalProblem[]): boolean {
  return problems.some(({ kind, missing }) => kind === 'no port' || missing?.kind === 'proxyPort');
}

/** The VIPs whose listeners are open. */
export function vipsServed(vips: readonly Vip[], problems: readonly PortalProblem[]): readonly Vip[] {
  const without = problems.flatMap(({ missing }) => (missing?.kind === 'vip' ? missing : []));
  return without.length === 0 ? vips : vips.filter((vip) => !without.some((one) => isSamePlace(one, vip)));
}

/** Whether other programs are the only reason why the VIPs are not served. */
export function areVipsTaken(problems: readonly PortalProblem[]): boolean {
  const ofVips = problems.filter(
    ({ kind, missing }) => kind !== 'falls short' && missing?.kind !== 'nodePort',
  );
  return ofVips.length > 0 && ofVips.every(({ kind }) => kind === 'taken');
}
