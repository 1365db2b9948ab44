import { Avoidance } from './avoidance.js';
import { takeFewestPins } from './fewestpins.js';
import type { ServiceEndpoint, ServiceEndpoints } from './serviceendpoints.js';
import type { Target } from './target.js';

/** What the rotations of one worker share. */
export interface RotationContext {
  readonly services: ServiceEndpoints;
  /** One counter per portal, shared by all workers, so that the round robin is exact. */
  readonly roundRobin: Int32Array;
  now(): number;
}

/** The endpoints of one portal, and which one the next client gets: the next in turn, or always the first. */
export class Rotation {
  #targets: readonly Target[] = [];
  /** Made when the first endpoint is looked up: most Services have no pins. */
  #byId: Map<string, Target> | null = null;
  /** As {@link #byId}. Only portals with entries in the kernel need it. */
  #byName: Map<string, Target> | null = null;
  /** Null while no endpoint is avoided. */
  #avoidance: Avoidance | null = null;
  #isActiveStandby = false;

  constructor(
    readonly portalId: number,
    readonly context: RotationContext,
  ) {}

  get targets(): readonly Target[] {
    return this.#targets;
  }

  /** The endpoints that have not failed lately. Empty if all have. */
  get preferred(): readonly Target[] {
    return this.#readmit()?.preferred ?? this.#targets;
  }

  /** @param isActiveStandby whether all clients get the first endpoint */
  update(targets: readonly Target[], isActiveStandby: boolean): void {
    this.#targets = targets;
    this.#isActiveStandby = isActiveStandby;
    this.#byId = null;
    this.#byName = null;
    if (this.#avoidance !== null) this.#avoidance = new Avoidance(targets, this.context.now());
  }

  /** The endpoint with an id, or null. */
  find(id: string): Target | null {
    this.#byId ??= new Map(this.#targets.map((target) => [target.id, target]));
    return this.#byId.get(id) ?? null;
  }

  /** The endpoint with a name, or null. */
  findByName(name: string): Target | null {
    this.#byName ??= new Map(this.#targets.map((target) => [target.name, target]));
    return this.#byName.get(name) ?? null;
  }

  /** Whether new clients avoid an endpoint now. */
  isAvoided(target: Target): boolean {
    return this.#readmit()?.has(target) ?? false;
  }

  /** Whether one of the endpoints has this address. */
  hasAddress(address: string): boolean {
    return this.#targets.some(({ endpoint }) => endpoint.address === address);
  }

  /** New clients avoid this endpoint for a while. */
  avoid(target: Target): void {
    const now = this.context.now();
    target.failedAt = now;
    if (target.isRemoved) return;
    if (this.#avoidance === null) this.#avoidance = new Avoidance(this.#targets, now);
    else this.#avoidance.add(target);
  }

  /**
   * The first endpoint, or the next in turn, that was not tried. An avoided one is taken only if no other is
   * left.
   * @returns null if every endpoint has been tried
   */
  next(tried: ReadonlySet<Target>): Target | null {
    if (this.#isActiveStandby) return firstOf(this.#targets, tried, this.#readmit());
    const turn = Atomics.add(this.context.roundRobin, this.portalId, 1) >>> 0;
    return nextOf(this.preferred, turn, tried) ?? nextOf(this.#targets, turn, tried);
  }

  /**
   * As {@link next}, for a client that was pinned: the endpoint with the fewest pins. It counts the new pin
   * already. It takes no turn, so that new clients are shared out evenly.
   */
  nextForMove(tried: ReadonlySet<Target>): Target | null {
    const { roundRobin, services } = this.context;
    if (this.#isActiveStandby) {
      const target = this.next(tried);
      if (target !== null) services.addPin(target.home as ServiceEndpoint);
      return target;
    }
    const turn = Atomics.load(roundRobin, this.portalId) >>> 0;
    return (
      takeFewestPins(this.preferred, turn, tried, services) ??
      takeFewestPins(this.#targets, turn, tried, services)
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

/** Looks at no more targets than were tried, and one more. */
function nextOf(targets: readonly Target[], turn: number, tried: ReadonlySet<Target>): Target | null {
  for (let step = 0; step < targets.length; step++) {
    const target = targets[(turn + step) % targets.length];
    if (!tried.has(target)) return target;
  }
  return null;
}
