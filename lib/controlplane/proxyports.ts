import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal } from '../portal/portal.js';
import type { PortRange } from '../redirect/rules.js';
import { PortPool } from './portpool.js';
import { protocolOfKey, spaceOf, spaceOfKey } from './portspace.js';
import type { PublicPorts } from './publicports.js';

/** A port that a portal has moved away from, or that a removed portal had. */
interface LeftPort {
  /** Key of the portal. */
  readonly key: string;
  readonly port: number;
}

/** What {@link ProxyPorts} keeps between runs: portal key → port. */
export type SavedPorts = Readonly<Record<string, number>>;

/**
 * Gives each portal its proxy port and remembers it. A restart gives the same port again, so that conntrack's
 * redirect entries stay valid.
 *
 * A proxy port is never a public port of the node (see {@link PublicPorts}). If its number becomes public
 * later, the portal moves: it has two ports until its redirect leads to the new one.
 */
export class ProxyPorts {
  /**
   * Portal key → port. An object, as the whole of it is written to a file when a portal comes or goes.
   */
  readonly #ports: Record<string, number> = Object.create(null);
  readonly #pool: PortPool;
  readonly #publicPorts: Pick<PublicPorts, 'isPublicOnNode'>;
  /** Rules may still lead to these ports, so no other portal gets them. A list, as it is mostly empty. */
  #left: readonly LeftPort[] = [];
  /** Whether something changed since the last {@link saved}. */
  isDirty = false;

  /**
   * @param saved what an earlier run saved, see {@link saved}. It does not count if the value is no port of
   * the range, or if another portal has the port.
   */
  constructor(range: PortRange, saved: unknown, publicPorts: Pick<PublicPorts, 'isPublicOnNode'>) {
    this.#pool = new PortPool(range);
    this.#publicPorts = publicPorts;
    for (const [key, port] of Object.entries(validated(saved))) {
      if (this.#pool.restore(spaceOfKey(key), port, key)) this.#note(key, port);
    }
  }

  /** The port that the portal has now. */
  portOf(key: string): number | undefined {
    return this.#ports[key];
  }

  /**
   * Gives the portal the port that it had, or a new one.
   * @throws PortRangeError if no port is free
   */
  take(portal: Portal): number {
    const port = this.#ports[portal.key];
    if (port === undefined) return this.#next(portal);
    return isOwnVip(portal, port) ? this.retake(portal) : port;
  }

  /**
   * Another program has the portal's port: the portal gets another.
   * @throws PortRangeError as {@link take}
   */
  retake(portal: Portal): number {
    const taken = this.#ports[portal.key];
    const next = this.#next(portal);
    if (taken !== undefined) this.#pool.free(spaceOf(portal), taken);
    return next;
  }

  /** Key of the portal that has this port, if any. No other portal may listen there. */
  ownerOf(protocol: Protocol, family: Family, port: number): string | undefined {
    return this.#pool.ownerOf(spaceOf({ protocol, family }), port);
  }

  /** Keys of the portals whose proxy ports are public now. Looks at all portals. */
  exposed(): string[] {
    return Object.entries(this.#ports)
      .filter(([key, port]) => this.#publicPorts.isPublicOnNode(protocolOfKey(key), port))
      .map(([key]) => key);
  }

  /**
   * Gives the portal another port. The port before stays taken until {@link freeLeftPorts}.
   * @throws PortRangeError as {@link take}
   */
  move(portal: Portal): number {
    const left = this.#ports[portal.key];
    const next = this.#next(portal);
    if (left !== undefined) this.#left = this.#left.concat({ key: portal.key, port: left });
    return next;
  }

  /** Ports that the portal has moved away from and that are not free yet. */
  leftBy(key: string): number[] {
    return this.#left.filter((left) => left.key === key).map(({ port }) => port);
  }

  /** The portal is removed. Its port becomes free with {@link freeLeftPorts}: rules may still lead to it. */
  leave(key: string): void {
    const port = this.#ports[key];
    if (port === undefined) return;
    delete this.#ports[key];
    this.#left = this.#left.concat({ key, port });
    this.isDirty = true;
  }

  /** Whether there are ports that wait for {@link freeLeftPorts}. */
  get hasLeftPorts(): boolean {
    return this.#left.length > 0;
  }

  /**
   * Frees left ports that no rule leads to any more.
   * @param isDone whether no rule leads to the left ports of the portal with this key
   * @returns keys of the portals whose left ports are free now
   */
  freeLeftPorts(isDone: (key: string) => boolean): string[] {
    const done = this.#left.filter(({ key }) => isDone(key));
    this.#left = this.#left.filter((left) => !done.includes(left));
    for (const { key, port } of done) this.#pool.free(spaceOfKey(key), port);
    return done.map(({ key }) => key);
  }

  /** The portal has another key now and keeps its port. */
  rename(before: string, after: string): void {
    const port = this.#ports[before];
    if (port === undefined) return;
    delete this.#ports[before];
    this.#pool.own(spaceOfKey(after), port, after);
    this.#note(after, port);
    this.#left = this.#left.map((left) => (left.key === before ? { ...left, key: after } : left));
  }

  /** Takes the portal's port away. It is free at once. */
  release(portal: Pick<Portal, 'key'>): void {
    const port = this.#ports[portal.key];
    if (port === undefined) return;
    delete this.#ports[portal.key];
    this.#pool.free(spaceOfKey(portal.key), port);
    this.isDirty = true;
  }

  /** All other portals of an earlier run {@link leave}: their rules may still exist. */
  keepOnly(keys: { has(key: string): boolean }): void {
    for (const key of Object.keys(this.#ports)) if (!keys.has(key)) this.leave(key);
  }

  /**
   * All ports, by the keys of their portals. The caller must write them at once: the object changes later.
   */
  saved(): SavedPorts {
    this.isDirty = false;
    return this.#ports;
  }

  #next(portal: Portal): number {
    const isUnfit = (port: number) =>
      isOwnVip(portal, port) || this.#publicPorts.isPublicOnNode(portal.protocol, port);
    const port = this.#pool.take(spaceOf(portal), portal.key, isUnfit);
    this.#note(portal.key, port);
    return port;
  }

  #note(key: string, port: number): void {
    this.#ports[key] = port;
    this.isDirty = true;
  }
}

/**
 * Workers see by the original port of a connection whether it was redirected. So the two ports must differ.
 */
function isOwnVip({ vips }: Portal, port: number): boolean {
  return vips.some((vip) => vip.port === port);
}

function validated(saved: unknown): SavedPorts {
  if (typeof saved !== 'object' || saved === null) return {};
  return Object.fromEntries(Object.entries(saved).filter(([, port]) => Number.isInteger(port)));
}
