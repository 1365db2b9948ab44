import type { Affinity } from '../../portal/policy.js';
import type { WorkerPortal } from '../shared/messages.js';
import type { Pin } from './pin.js';
import { type FirstDatagram, type PinKey, pinKey, prefixBytesOf } from './pinkey.js';
import type { PinTable } from './pins.js';
import { Rotation, type RotationContext } from './rotation.js';
import type { ServiceEndpoint } from './serviceendpoints.js';
import { Target, targetName } from './target.js';

/** Limit of {@link Balancer.refreshPeriod}. */
const MAX_REFRESH_MS = 60_000;
const NOTHING: ReadonlySet<Target> = new Set();

/** What the balancers of one worker share. */
export interface BalancerContext extends RotationContext {
  readonly pins: PinTable;
}

/**
 * Picks endpoints for one portal: by {@link Rotation}, or by pins. A pin belongs to the Service: it holds for
 * all its ports and protocols. If the pinned pod does not serve this port, the key gets a second pin for this
 * port.
 */
export class Balancer {
  readonly rotation: Rotation;
  #affinity: Affinity | null = null;
  #prefixBytes = 0;

  constructor(
    portalId: number,
    readonly key: string,
    readonly service: string,
    readonly context: BalancerContext,
  ) {
    this.rotation = new Rotation(portalId, context);
  }

  /**
   * Takes new endpoints. A target that stays keeps what it has learned. The others become isRemoved.
   * @returns whether there are targets that were not there before
   */
  update({ endpoints, policy, pinCells }: Pick<WorkerPortal, 'endpoints' | 'policy' | 'pinCells'>): boolean {
    this.#affinity = policy.affinity;
    this.#prefixBytes = prefixBytesOf(policy.affinity);
    const { targets: old } = this.rotation;
    const known = new Map(old.map((target) => [`${target.id} ${target.name}`, target]));
    const before = known.size;
    const homes = old.flatMap(({ home }) => home ?? []);
    const targets = endpoints.map((endpoint, index) => {
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
    this.rotation.update(targets, policy.activeStandby);
    return targets.length > before - known.size;
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
    if (key === null || this.#affinity === null) return this.rotation.next(NOTHING);
    return this.#pinned(key, this.#affinity) ?? this.#pin(key, NOTHING, this.#affinity);
  }

  /**
   * Picks again after endpoints failed. If another connection with the same key has moved the pin already,
   * this one follows: otherwise the connections of one client would push the pin back and forth.
   * @param tried the endpoints that failed
   * @returns null if every endpoint has been tried
   */
  pickOther(key: PinKey | null, tried: ReadonlySet<Target>): Target | null {
    if (key === null || this.#affinity === null) return this.rotation.next(tried);
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
    const target = pin === undefined ? this.rotation.next(tried) : this.rotation.nextForMove(tried);
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
    return this.rotation.find(pin.endpoint.id);
  }
}

/** Whether the pin has an endpoint that is not gone. The endpoint may serve other ports only. */
function hasHome(pin: Pin | undefined): boolean {
  return pin !== undefined && !pin.isHomeless && pin.endpoint.portals > 0;
}
