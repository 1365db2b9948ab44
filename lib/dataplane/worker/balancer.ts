import type { WorkerEndpoint } from '../messages.js';
import { Avoidance } from './avoidance.js';
import type { ClientKey } from './clientkey.js';
import type { PinTable } from './pins.js';
import type { ServiceEndpoints } from './serviceendpoints.js';
import { Target, targetName } from './target.js';

const NOTHING: ReadonlySet<Target> = new Set();

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
