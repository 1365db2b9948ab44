import { SocketAddress } from '../sys/sockaddr.js';
import type { ClientKey, PinTable, ServiceEndpoints } from './affinity.js';
import { AVOID_MS, Avoidance } from './avoidance.js';
import type { WorkerEndpoint } from './messages.js';

const NOTHING: ReadonlySet<Target> = new Set();

/** An endpoint with what a worker learns about it. */
export class Target {
  /** When it last failed (loop clock, ms): new clients avoid it for a while. */
  failedAt = Number.NEGATIVE_INFINITY;
  removed = false;
  #name: string | null = null;
  /** When it last answered a UDP client (loop clock, ms). */
  heardAt = Number.NEGATIVE_INFINITY;
  /** Who was told last that it is not there, and when. */
  #refused: unknown = null;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #address: SocketAddress | null = null;

  constructor(readonly endpoint: WorkerEndpoint) {}

  get id(): string {
    return this.endpoint.id;
  }

  /** For log lines; the same for all targets at one address and port. */
  get name(): string {
    this.#name ??= targetName(this.endpoint);
    return this.#name;
  }

  /**
   * Notes that a client was told that the endpoint is not there.
   * @param by anything that tells clients apart
   * @returns whether another client was told so too a while ago, and nobody has heard of the endpoint since
   */
  isRefusedAgain(by: unknown, now: number): boolean {
    const isSecond =
      this.#refused !== by && now - this.#refusedAt < AVOID_MS && this.#refusedAt >= this.heardAt;
    this.#refused = by;
    this.#refusedAt = now;
    return isSecond;
  }

  /** Made on first use: most endpoints of a big cluster are never used by one node. */
  get address(): SocketAddress {
    this.#address ??= SocketAddress.of(this.endpoint.address, this.endpoint.port);
    return this.#address;
  }
}

function targetName({ address, port }: WorkerEndpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** What the balancers of one worker share. */
export interface BalancerContext {
  readonly pins: PinTable;
  readonly services: ServiceEndpoints;
  /** One counter per portal slot, shared by all workers: that makes the round robin exact. */
  readonly roundRobin: Int32Array;
  now(): number;
}

/**
 * Picks endpoints for one portal: round robin, or ClientIP affinity per Service over all its ports and protocols.
 * Where the Service's pinned pod does not serve this port, the client gets a pin of the port's own.
 */
export class Balancer {
  #targets: Target[] = [];
  /** Made for the first pin that is looked up: most Services have none. */
  #byId: Map<string, Target> | null = null;
  /** Null while no endpoint is avoided. */
  #avoidance: Avoidance | null = null;
  affinityTimeout: number | null = null;

  constructor(
    readonly slot: number,
    readonly key: string,
    readonly service: string,
    readonly context: BalancerContext,
  ) {}

  get size(): number {
    return this.#targets.length;
  }

  /** Takes a new endpoint list; targets that stay keep what is known about them, the others are marked. */
  update(endpoints: readonly WorkerEndpoint[]): void {
    const known = new Map(this.#targets.map((target) => [`${target.id} ${target.name}`, target]));
    const { services } = this.context;
    services.remove(this.service, this.#ids());
    this.#targets = endpoints.map((endpoint) => {
      const key = `${endpoint.id} ${targetName(endpoint)}`;
      const target = known.get(key) ?? new Target(endpoint);
      known.delete(key);
      return target;
    });
    services.add(this.service, this.#ids());
    for (const target of known.values()) target.removed = true;
    this.#byId = null;
    if (this.#avoidance !== null) this.#avoidance = new Avoidance(this.#targets, this.context.now());
  }

  #ids(): Set<string> {
    return new Set(this.#targets.map((target) => target.id));
  }

  /** @returns null where there is no endpoint at all */
  pick(client: ClientKey | null): Target | null {
    if (client === null || this.affinityTimeout === null) return this.#next(NOTHING);
    return this.#pinned(client) ?? this.#pin(client, this.#next(NOTHING));
  }

  /**
   * Picks again after endpoints failed. A pin that another connection of the client has moved already is followed,
   * or the client's connections would push it back and forth.
   * @param tried what failed already
   * @returns null where every endpoint has been tried
   */
  pickOther(client: ClientKey | null, tried: ReadonlySet<Target>): Target | null {
    if (client === null || this.affinityTimeout === null) return this.#next(tried);
    const pinned = this.#pinned(client);
    if (pinned !== null && !tried.has(pinned)) return pinned;
    return this.#pin(client, this.#next(tried));
  }

  /** A client that is being served without a new pick keeps its pins alive. */
  refresh(client: ClientKey): void {
    this.context.pins.get(this.service, client);
    this.context.pins.get(this.key, client);
  }

  /** New clients stay away from it for a while. */
  avoid(target: Target): void {
    const now = this.context.now();
    target.failedAt = now;
    if (target.removed) return;
    if (this.#avoidance === null) this.#avoidance = new Avoidance(this.#targets, now);
    else this.#avoidance.add(target);
  }

  /** Drops a client's pins to a failed endpoint. @returns whether there was one */
  unpin(client: ClientKey, target: Target): boolean {
    let found = false;
    for (const scope of [this.service, this.key]) {
      if (this.context.pins.get(scope, client) !== target.id) continue;
      this.context.pins.delete(scope, client);
      found = true;
    }
    return found;
  }

  #pinned(client: ClientKey): Target | null {
    const { pins } = this.context;
    const byService = pins.get(this.service, client);
    const target = this.#find(byService);
    if (target !== null) return target;
    // A pin to a pod that serves other ports only leaves room for one of this port's own.
    return this.#isAlive(byService) ? this.#find(pins.get(this.key, client)) : null;
  }

  #pin(client: ClientKey, target: Target | null): Target | null {
    if (target === null || this.affinityTimeout === null) return target;
    const { pins } = this.context;
    const byService = pins.get(this.service, client);
    const scope = this.#isAlive(byService) && this.#find(byService) === null ? this.key : this.service;
    pins.set(scope, client, target.id, this.affinityTimeout);
    return target;
  }

  #isAlive(id: string | undefined): boolean {
    return id !== undefined && this.context.services.has(this.service, id);
  }

  #find(id: string | undefined): Target | null {
    if (id === undefined) return null;
    this.#byId ??= new Map(this.#targets.map((target) => [target.id, target]));
    return this.#byId.get(id) ?? null;
  }

  /** The next in turn that is neither tried nor avoided; an avoided one only where nothing else is left. */
  #next(tried: ReadonlySet<Target>): Target | null {
    const turn = Atomics.add(this.context.roundRobin, this.slot, 1) >>> 0;
    const preferred = this.#avoidance === null ? this.#targets : this.#notAvoided(this.#avoidance);
    return nextOf(preferred, turn, tried) ?? nextOf(this.#targets, turn, tried);
  }

  #notAvoided(avoidance: Avoidance): readonly Target[] {
    avoidance.readmit(this.context.now());
    if (!avoidance.isOver) return avoidance.others;
    this.#avoidance = null;
    return this.#targets;
  }
}

/** Looks at one more than were tried, at most. */
function nextOf(targets: readonly Target[], turn: number, tried: ReadonlySet<Target>): Target | null {
  for (let step = 0; step < targets.length; step++) {
    const target = targets[(turn + step) % targets.length];
    if (!tried.has(target)) return target;
  }
  return null;
}
