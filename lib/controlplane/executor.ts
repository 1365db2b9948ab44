import type { Dataplane } from '../dataplane/dataplane.js';
import type { SnapshotDiff } from '../model/diff.js';
import type { Snapshot } from '../portal/portal.js';
import { ActivePortal, type PortalContext } from './activeportal.js';
import type { ActivePortals } from './activeportals.js';
import type { Current, Step } from './plan.js';
import type { Redirects } from './redirects.js';

/** What the steps are done with. */
export interface ExecutorTools {
  readonly context: PortalContext;
  readonly portals: ActivePortals;
  readonly dataplane: Pick<Dataplane, 'apply' | 'takeId' | 'budget'>;
  readonly redirects: Pick<Redirects, 'change'>;
  /** Writes the proxy ports down. Called before anything points at them. */
  savePorts(): Promise<void>;
  /** Portals have opened what they could: what is missing is to be told. */
  opened(portals: readonly ActivePortal[]): void;
}

/** A change that the workers have taken in, while the driver may be at it still. */
export interface Underway {
  /** Settles once the redirects are in place, or are known not to be. */
  readonly redirected: Promise<void>;
}

export const DONE: Underway = { redirected: Promise.resolve() };

/**
 * Does the steps of a plan, and knows at each moment how far the node has come. If a step fails, the next
 * plan begins there.
 */
export class Executor {
  readonly #tools: ExecutorTools;
  #portals: Snapshot = new Map();
  readonly #unfinished = new Set<string>();
  readonly #closing = new Set<number>();
  readonly #stale = new Set<string>();
  /** Keys of portals that gave up listeners which the workers have not closed yet. */
  readonly #vacating = new Set<string>();

  constructor(tools: ExecutorTools) {
    this.#tools = tools;
  }

  get current(): Current {
    return {
      portals: this.#portals,
      unfinished: this.#unfinished,
      closing: this.#closing,
      stale: this.#stale,
    };
  }

  /**
   * Resolves once the workers have taken it in. Other changes do not wait for the driver: iptables may take
   * its time, or hang.
   * @throws Error where a step fails by a fault of this program, or workers broke
   */
  async run(steps: readonly Step[]): Promise<Underway> {
    let listening: Promise<void> = Promise.resolve();
    let redirected = listening;
    for (const step of steps) {
      if (step.do === 'unredirect') await this.#unredirect(step.keys);
      else if (step.do === 'take over') this.#takeOver(step.desired, step.diff, step.stale);
      else if (step.do === 'close') await this.#close(step.keys);
      else if (step.do === 'open') this.#open(step.keys);
      else if (step.do === 'tell workers') {
        await this.#prepareToTell(step.keys);
        listening = this.#tell(step.keys);
        redirected = listening;
      } else redirected = this.#redirect(step.keys, step.stale, listening);
    }
    // Whoever waits for the run hears of it. It may fail before the driver, which waits for it, has its turn.
    listening.catch(() => undefined);
    redirected.catch(() => undefined);
    await listening;
    return { redirected };
  }

  /** Should the next plan keep one of these after all, it is redirected to anew. */
  async #unredirect(keys: readonly string[]): Promise<void> {
    for (const active of this.#tools.portals.some(keys)) {
      active.unredirect();
      this.#unfinished.add(active.key);
    }
    await this.#tools.redirects.change({ set: [], remove: keys });
  }

  #takeOver(desired: Snapshot, diff: SnapshotDiff, stale: readonly string[]): void {
    const { context, portals, dataplane } = this.#tools;
    this.#portals = desired;
    context.publicPorts.update(diff);
    for (const key of stale) this.#stale.add(key);
    for (const { key } of diff.removed) {
      const active = portals.remove(key);
      active.release();
      this.#closing.add(active.id);
      this.#unfinished.delete(key);
    }
    for (const { before, after } of diff.changed) {
      portals.rekey(before.key, after).update(after);
      this.#unfinished.delete(before.key);
      this.#unfinished.add(after.key);
    }
    for (const portal of diff.added) {
      portals.add(new ActivePortal(portal, dataplane.takeId(), context));
      this.#unfinished.add(portal.key);
    }
    for (const key of [...this.#stale]) if (desired.has(key)) this.#stale.delete(key);
  }

  /** The workers get all portals that changed, so that affinity does not see half a Service. */
  async #close(keys: readonly string[]): Promise<void> {
    for (const active of this.#tools.portals.some(keys)) {
      if (active.closeListeners()) this.#vacating.add(active.key);
    }
    if (this.#vacating.size === 0 && this.#closing.size === 0) return;
    const told = this.#vacating.size === 0 ? [] : [...new Set([...keys, ...this.#vacating])];
    const ids = [...this.#closing];
    await this.#apply(this.#tools.portals.some(told), ids);
    for (const id of ids) this.#closing.delete(id);
    for (const key of told) this.#vacating.delete(key);
    this.#shareDescriptors();
  }

  /** From its end on the workers own the listeners. */
  async #apply(told: readonly ActivePortal[], ids: readonly number[]): Promise<void> {
    const set = told.map((active) => active.forDataplane());
    await this.#tools.dataplane.apply(set, ids);
    for (const active of told) active.handOver();
  }

  /** What listeners do not use, connections and flows may. */
  #shareDescriptors(): void {
    const { context, dataplane } = this.#tools;
    dataplane.budget.limit = context.capacity.forTraffic;
  }

  #open(keys: readonly string[]): void {
    const opening = this.#tools.portals.some(keys);
    for (const active of opening) active.openListeners();
    this.#tools.opened(opening);
  }

  async #prepareToTell(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#unfinished.add(key);
    this.#shareDescriptors();
    await this.#tools.savePorts();
  }

  async #tell(keys: readonly string[]): Promise<void> {
    const told = this.#tools.portals.some(keys);
    await this.#apply(told, []);
    for (const active of told) {
      active.hearEveryone();
      this.#vacating.delete(active.key);
      this.#unfinished.delete(active.key);
    }
  }

  /** The driver gets ready while the workers take in what they are told. */
  async #redirect(
    keys: readonly string[],
    stale: readonly string[],
    listening: Promise<void>,
  ): Promise<void> {
    const missing = this.#tools.portals.some(keys).filter((active) => active.redirectState !== 'inPlace');
    const wanted = missing.filter((active) => active.canRedirect);
    const lost = missing.filter((active) => active.redirectState === 'outdated' && !active.canRedirect);
    const remove = [...stale, ...lost.map(({ key }) => key)];
    if (wanted.length === 0 && remove.length === 0) return listening;
    const sent = wanted.map((active) => ({
      active,
      redirect: active.redirect(),
      version: active.redirectVersion,
    }));
    const set = sent.map(({ redirect }) => redirect);
    for (const active of lost) active.redirectState = 'missing';
    for (const key of stale) this.#stale.delete(key);
    const failure = await this.#tools.redirects.change({ set, remove }, listening).catch(async (error) => {
      // Only then: what the workers take in meanwhile counts as finished.
      await Promise.allSettled([listening]);
      this.#leave(stale, wanted, lost);
      throw error;
    });
    for (const { active, redirect, version } of sent) {
      active.redirected(version, failure?.concerns(redirect.id) ?? false);
    }
  }

  /** What the driver was not given, as it or the workers broke, is left for the next plan. */
  #leave(stale: readonly string[], wanted: readonly ActivePortal[], lost: readonly ActivePortal[]): void {
    for (const key of stale) if (!this.#portals.has(key)) this.#stale.add(key);
    for (const active of lost) if (active.redirectState === 'missing') active.redirectState = 'outdated';
    for (const { key } of [...wanted, ...lost]) {
      if (this.#portals.has(key)) this.#unfinished.add(key);
    }
  }
}
