import type { Affinity } from '../../portal/policy.js';
import type { WorkerPortal } from '../shared/messages.js';
import { Avoidance } from './avoidance.js';
import { takeFewestPins } from './fewestpins.js';
import type { Pin } from './pin.js';
import { type FirstDatagram, type PinKey, pinKey, prefixBytesOf } from './pinkey.js';
import type { PinTable } from './pins.js';
import type { ServiceEndpoint, ServiceEndpoints } from './serviceendpoints.js';
import { Target, targetName } from './target.js';

/** Limit of {@link Balancer.refreshPeriod}. */
const MAX_REFRESH_MS = 60_000;
const NOTHING: ReadonlySet<Target> = new Set();

/** What the balancers of one worker share. */
export interface BalancerContext {
  readonly pins: PinTable;
  readonly services: ServiceEndpoints;
  /** One counter per portal, shared by all workers, so that the round robin is exact. */
  readonly roundRobin: Int32Array;
  now(): number;
}

/**
 * Picks endpoints for one portal: in turn, always the first, or by pins. A pin belongs to the Service: it
 * holds for all its ports and protocols. If the pinned pod does not serve this port, the key gets a second
 * pin for this port.
 */
export class Balancer {
  #targets: Target[] = [];
  /** Made when the first pin is looked up: most Services have no pins. */
  #byId: Map<string, Target> | null = null;
  /** Null while no endpoint is avoided. */
  #avoidance: Avoidance | null = null;
  #affinity: Affinity | null = null;
  #isActiveStandby = false;
  #prefixBytes = 0;

  constructor(
    readonly portalId: number,
    readonly key: string,
    readonly service: string,
    readonly context: BalancerContext,
  ) {}

  get targets(): readonly Target[] {
    return this.#targets;
  }

  /** The endpoints that have not failed lately. Empty if all have. */
  get preferred(): readonly Target[] {
    return this.#readmit()?.preferred ?? this.#targets;
  }

  /**
   * Takes new endpoints. A target that stays keeps what it has learned. The others become isRemoved.
   * @returns whether there are targets that were not there before
   */
  update({ endpoints, policy, pinCells }: Pick<WorkerPortal, 'endpoints' | 'policy' | 'pinCells'>): boolean {
    this.#affinity = policy.affinity;
    this.#isActiveStandby = policy.activeStandby;
    this.#prefixBytes = prefixBytesOf(policy.affinity);
    const known = new Map(this.#targets.map((target) => [`${target.id} ${target.name}`, target]));
    const before = known.size;
    const homes = this.#targets.flatMap(({ home }) => home ?? []);
    this.#targets = endpoints.map((endpoint, index) => {
      const key = `${endpoint.id} ${targetName(endpoint)}`;
      const target = known.get(key) ?? new Target(endpoint);
      known.delete(key);
      const cell = pinCells?.[index] ?? null;
      target.home = policy.affinity && this.context.services.add(this.service, target.id, cell);
      return target;
    });
    // After the additions, so that the count of an endpoint that stays never falls to 0.
    for (const home of homes) this.context.services.remove(home);
    for (const target of known.values()) target.isRemoved = true;
    this.#byId = null;
    if (this.#avoidance !== null) this.#avoidance = new Avoidance(this.#targets, this.context.now());
    return this.#targets.length > before - known.size;
  }

  /** Whether one of the endpoints has this address. */
  hasAddress(address: string): boolean {
    return this.#targets.some(({ endpoint }) => endpoint.address === address);
  }

  /** See {@link prefixBytesOf}. */
  get prefixBytes(): number {
    return this.#prefixBytes;
  }

  /**
   * The key by which a client is pinned, see {@link pinKey}. The other methods take it.
   * @returns null if clients are not pinned
   */
  keyOf(sockaddr: Int32Array, at: number, first: FirstDatagram | null): PinKey | null {
    return this.#affinity && pinKey(this.#affinity, sockaddr, at, first);
  }

  /**
   * Milliseconds. A flow that lasts longer must {@link refresh} its pin this often, because it does not pick
   * again: a pin ends, and at the cap the pins go that were not used for longest.
   */
  get refreshPeriod(): number {
    return Math.min((this.#affinity?.timeoutMs ?? 0) / 4, MAX_REFRESH_MS);
  }

  /** @returns null if the portal has no endpoint */
  pick(key: PinKey | null): Target | null {
    if (key === null || this.#affinity === null) return this.#next(NOTHING);
    return this.#pinned(key, this.#affinity) ?? this.#pin(key, NOTHING, this.#affinity);
  }

  /**
   * Picks again after endpoints failed. If another connection with the same key has moved the pin already,
   * this one follows: otherwise the connections of one client would push the pin back and forth.
   * @param tried the endpoints that failed
   * @returns null if every endpoint has been tried
   */
  pickOther(key: PinKey | null, tried: ReadonlySet<Target>): Target | null {
    if (key === null || this.#affinity === null) return this.#next(tried);
    const pinned = this.#pinned(key, this.#affinity);
    if (pinned !== null && !tried.has(pinned)) return pinned;
    return this.#pin(key, tried, this.#affinity);
  }

  /** Starts the time of a key's pins again. */
  refresh(key: PinKey): void {
    if (this.#affinity === null) return;
    this.#find(null, key, this.#affinity);
    this.#find(this.key, key, this.#affinity);
  }

  /** New clients avoid this endpoint for a while. */
  avoid(target: Target): void {
    const now = this.context.now();
    target.failedAt = now;
    if (target.isRemoved) return;
    if (this.#avoidance === null) this.#avoidance = new Avoidance(this.#targets, now);
    else this.#avoidance.add(target);
  }

  /** Takes the pins of a key away from a failed endpoint. @returns whether there were any */
  unpin(key: PinKey, target: Target): boolean {
    let isFound = false;
    for (const portal of [null, this.key]) {
      const pin = this.context.pins.find(this.service, portal, key);
      if (pin === undefined || pin.isHomeless || pin.endpoint.id !== target.id) continue;
      this.context.pins.makeHomeless(pin);
      isFound = true;
    }
    return isFound;
  }

  #pinned(key: PinKey, affinity: Affinity): Target | null {
    const byService = this.#find(null, key, affinity);
    const target = this.#targetOf(byService);
    if (target !== null) return target;
    // The pinned pod is alive but does not serve this port: this port may have a pin of its own.
    return hasHome(byService) ? this.#targetOf(this.#find(this.key, key, affinity)) : null;
  }

  /** Pins a new client to the next endpoint in turn. Moves a pin to the endpoint with the fewest pins. */
  #pin(key: PinKey, tried: ReadonlySet<Target>, affinity: Affinity): Target | null {
    const { pins } = this.context;
    const byService = pins.find(this.service, null, key);
    const portal = hasHome(byService) && this.#targetOf(byService) === null ? this.key : null;
    const pin = portal === null ? byService : pins.find(this.service, portal, key);
    const target = pin === undefined ? this.#next(tried) : this.#nextForMove(tried);
    if (target === null) return null;
    const home = target.home as ServiceEndpoint;
    if (pin === undefined) pins.add(this.service, portal, key, home, affinity.timeoutMs);
    else pins.move(pin, home, affinity.timeoutMs);
    return target;
  }

  /** Finds a pin, and uses it. */
  #find(portal: string | null, key: PinKey, { timeoutMs }: Affinity): Pin | undefined {
    const pin = this.context.pins.find(this.service, portal, key);
    if (pin !== undefined) this.context.pins.use(pin, timeoutMs);
    return pin;
  }

  #targetOf(pin: Pin | undefined): Target | null {
    if (pin === undefined || pin.isHomeless) return null;
    return this.find(pin.endpoint.id);
  }

  /** The endpoint with an id, or null. */
  find(id: string): Target | null {
    this.#byId ??= new Map(this.#targets.map((target) => [target.id, target]));
    return this.#byId.get(id) ?? null;
  }

  /**
   * The first endpoint, or the next in turn, that was not tried. An avoided one is taken only if no other is
   * left.
   */
  #next(tried: ReadonlySet<Target>): Target | null {
    if (this.#isActiveStandby) return firstOf(this.#targets, tried, this.#readmit());
    const turn = Atomics.add(this.context.roundRobin, this.portalId, 1) >>> 0;
    return nextOf(this.preferred, turn, tried) ?? nextOf(this.#targets, turn, tried);
  }

  /**
   * As {@link #next}, for a client that was pinned. It counts the new pin already. It takes no turn, so that
   * new clients are shared out evenly.
   */
  #nextForMove(tried: ReadonlySet<Target>): Target | null {
    const { roundRobin, services } = this.context;
    if (this.#isActiveStandby) {
      const target = this.#next(tried);
      if (target !== null) services.addPin(target.home as ServiceEndpoint);
      return target;
    }
    const turn = Atomics.load(roundRobin, this.portalId) >>> 0;
    const preferred = this.#readmit()?.preferred ?? this.#targets;
    return (
      takeFewestPins(preferred, turn, tried, services) ?? takeFewestPins(this.#targets, turn, tried, services)
    );
  }

  /** Endpoints that failed long enough ago are as good as others. @returns the avoidance of the rest */
  #readmit(): Avoidance | null {
    this.#avoidance?.readmit(this.context.now());
    if (this.#avoidance?.isEmpty) this.#avoidance = null;
    return this.#avoidance;
  }
}

/** Looks at all endpoints: active-standby Services have few. */
function firstOf(
  targets: readonly Target[],
  tried: ReadonlySet<Target>,
  avoidance: Avoidance | null,
): Target | null {
  for (const target of targets) if (!tried.has(target) && !avoidance?.has(target)) return target;
  return nextOf(targets, 0, tried);
}

/** Whether the pin has an endpoint that is not gone. The endpoint may serve other ports only. */
function hasHome(pin: Pin | undefined): boolean {
  return pin !== undefined && !pin.isHomeless && pin.endpoint.portals > 0;
}

/** Looks at no more targets than were tried, and one more. */
function nextOf(targets: readonly Target[], turn: number, tried: ReadonlySet<Target>): Target | null {
  for (let step = 0; step < targets.length; step++) {
    const target = targets[(turn + step) % targets.length];
    if (!tried.has(target)) return target;
  }
  return null;
}
