import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal } from '../portal/portal.js';
import type { PublicPorts } from './publicports.js';

/** More portals than ports. */
export class PortRangeError extends Error {}

/** A port number and the portal that owns it. */
type Owners = Map<number, string>;

interface LeftPort {
  /** The portal's. */
  readonly key: string;
  readonly port: number;
}

/** What {@link ProxyPorts} keeps between runs: portal key → port. */
export type SavedPorts = Readonly<Record<string, number>>;

/**
 * Gives each portal its proxy port and remembers it,
 * so that a restart keeps conntrack's redirect entries valid.
 *
 * Ports are taken from the top of the range downwards and around: a port that was given back is used again as
 * late as possible, since UDP clients whose conntrack entries still point at it would meet a stranger. TCP
 * and UDP, and the two families, have port numbers of their own.
 *
 * A number that clients of the node know (see {@link PublicPorts}) is never given away. A portal that has one
 * already, as the NodePort came later, moves: it has both until its redirect leads to the new one.
 */
export class ProxyPorts {
  /** An object and no map: it is written down, whole, with every portal that comes or goes. */
  readonly #ports: Record<string, number> = Object.create(null);
  readonly #owners = new Map<string, Owners>();
  readonly #cursors = new Map<string, number>();
  /** What portals have moved from and not let go of yet. */
  #left: readonly LeftPort[] = [];
  /** Whether something changed since the last {@link saved}. */
  dirty = false;

  constructor(
    readonly range: { readonly first: number; readonly last: number },
    saved: unknown,
    readonly publicPorts: Pick<PublicPorts, 'isNodes'>,
  ) {
    for (const [key, port] of Object.entries(validated(saved))) {
      const space = spaceOfKey(key);
      if (!this.#isInRange(port) || this.#ownersOf(space).has(port)) continue;
      this.#own(space, key, port);
      this.#cursors.set(space, Math.min(this.#cursors.get(space) ?? range.last, port));
    }
  }

  /** The portal's port, the remembered one or a new one. @throws PortRangeError when the range is used up */
  take(portal: Portal): number {
    const port = this.#ports[portal.key];
    if (port === undefined) return this.#next(portal);
    return isOwnVip(portal, port) ? this.retake(portal) : port;
  }

  /** The portal's port is taken by another program: gives the portal another. @throws as take */
  retake(portal: Portal): number {
    const taken = this.#ports[portal.key];
    const next = this.#next(portal);
    if (taken !== undefined) this.#ownersOf(spaceOf(portal)).delete(taken);
    return next;
  }

  /** The key of the portal that has this port, if any: nobody else may listen there. */
  ownerOf(protocol: Protocol, family: Family, port: number): string | undefined {
    return this.#ownersOf(spaceOf({ protocol, family })).get(port);
  }

  /** Keys of the portals whose ports have become known to clients of the node. Looks at all. */
  exposed(): string[] {
    return Object.entries(this.#ports)
      .filter(([key, port]) => this.publicPorts.isNodes(protocolOfKey(key), port))
      .map(([key]) => key);
  }

  /** Gives the portal another port; it keeps the one before until {@link letGo}. @throws as take */
  move(portal: Portal): number {
    const left = this.#ports[portal.key];
    const next = this.#next(portal);
    if (left !== undefined) this.#left = this.#left.concat({ key: portal.key, port: left });
    return next;
  }

  /** What a portal has moved from and not let go of yet. */
  leftBy(key: string): number[] {
    return this.#left.filter((left) => left.key === key).map(({ port }) => port);
  }

  /** The portal goes: its port stays taken until {@link letGo}, as something may lead there still. */
  leave(key: string): void {
    const port = this.#ports[key];
    if (port === undefined) return;
    delete this.#ports[key];
    this.#left = this.#left.concat({ key, port });
    this.dirty = true;
  }

  /** Whether there is anything to {@link letGo} of. */
  get hasLeft(): boolean {
    return this.#left.length > 0;
  }

  /**
   * Gives up the left ports of the portals of which nothing leads there any more.
   * @returns the portals' keys
   */
  letGo(isDone: (key: string) => boolean): string[] {
    const done = this.#left.filter(({ key }) => isDone(key));
    this.#left = this.#left.filter((left) => !done.includes(left));
    for (const { key, port } of done) this.#ownersOf(spaceOfKey(key)).delete(port);
    return done.map(({ key }) => key);
  }

  /** The portal has another key now and keeps its port. */
  rename(before: string, after: string): void {
    const port = this.#ports[before];
    if (port === undefined) return;
    delete this.#ports[before];
    this.#own(spaceOfKey(after), after, port);
    this.#left = this.#left.map((left) => (left.key === before ? { ...left, key: after } : left));
  }

  /** The port is free at once. */
  release(portal: Pick<Portal, 'key'>): void {
    const port = this.#ports[portal.key];
    if (port === undefined) return;
    delete this.#ports[portal.key];
    this.#ownersOf(spaceOfKey(portal.key)).delete(port);
    this.dirty = true;
  }

  /** What an earlier run had and this one does not is left, see {@link leave}: its rules may be there. */
  keepOnly(keys: { has(key: string): boolean }): void {
    for (const key of Object.keys(this.#ports)) if (!keys.has(key)) this.leave(key);
  }

  /** All ports, to be written down at once: the object changes with them. */
  saved(): SavedPorts {
    this.dirty = false;
    return this.#ports;
  }

  #next(portal: Portal): number {
    const space = spaceOf(portal);
    const { first, last } = this.range;
    const owners = this.#ownersOf(space);
    let port = this.#cursors.get(space) ?? last + 1;
    for (let tries = first; tries <= last; tries++) {
      port = port <= first ? last : port - 1;
      if (owners.has(port) || isOwnVip(portal, port)) continue;
      if (this.publicPorts.isNodes(portal.protocol, port)) continue;
      this.#cursors.set(space, port);
      this.#own(space, portal.key, port);
      return port;
    }
    throw new PortRangeError(
      `all ports of --proxy-port-range ${first}-${last} are in use for ${space}; give a wider range`,
    );
  }

  #own(space: string, key: string, port: number): void {
    this.#ports[key] = port;
    this.#ownersOf(space).set(port, key);
    this.dirty = true;
  }

  #ownersOf(space: string): Owners {
    const owners = this.#owners.get(space) ?? new Map<number, string>();
    this.#owners.set(space, owners);
    return owners;
  }

  #isInRange(port: number): boolean {
    return port >= this.range.first && port <= this.range.last;
  }
}

/** A redirected connection is told from a direct one by its original port, so the two must differ. */
function isOwnVip({ vips }: Portal, port: number): boolean {
  return vips.some((vip) => vip.port === port);
}

function spaceOf({ protocol, family }: { protocol: Protocol; family: Family }): string {
  return `${protocol}/${family}`;
}

/** A portal's key ends in its protocol and family. */
function spaceOfKey(key: string): string {
  return key.split('/').slice(-2).join('/');
}

/** The family of a portal with this key. */
export function familyOfKey(key: string): Family {
  return key.split('/').at(-1) as Family;
}

function protocolOfKey(key: string): Protocol {
  return key.split('/').at(-2) as Protocol;
}

function validated(saved: unknown): SavedPorts {
  if (typeof saved !== 'object' || saved === null) return {};
  return Object.fromEntries(Object.entries(saved).filter(([, port]) => Number.isInteger(port)));
}
