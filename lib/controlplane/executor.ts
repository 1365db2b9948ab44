import type { Dataplane } from '../dataplane/dataplane.js';
import type { SnapshotDiff } from '../model/diff.js';
import type { Snapshot } from '../portal/portal.js';
import { ActivePortal, type NodeContext } from './activeportal.js';
import type { ActivePortals } from './activeportals.js';
import type { ActualState, Step } from './plan.js';
import type { Redirects } from './redirects.js';

/** What the executor needs to do the steps. */
export interface ExecutorTools {
  readonly context: NodeContext;
  readonly portals: ActivePortals;
  readonly dataplane: Pick<Dataplane, 'apply' | 'takeId' | 'budget'>;
  readonly redirects: Pick<Redirects, 'change'>;
  /** Saves the proxy ports. Called before a listener or a rule uses them. */
  savePorts(): Promise<void>;
  /** Called after portals have tried to open their listeners: reports what is missing. */
  opened(portals: readonly ActivePortal[]): void;
}

/** A change that the workers have received. The driver may still work on it. */
export interface DeliveredChange {
  /** Resolves once the redirects are in place or have failed. Rejects if the driver breaks. */
  readonly redirected: Promise<void>;
}

export const DONE: DeliveredChange = { redirected: Promise.resolve() };

/**
 * Does the steps of a plan, and knows how far the node has come. If a step fails, the next plan begins there.
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

  get actual(): ActualState {
    return {
      portals: this.#portals,
      unfinished: this.#unfinished,
      closing: this.#closing,
      stale: this.#stale,
    };
  }

  /**
   * Does these steps. Resolves once the workers have received the change. Other changes do not wait for the
   * driver: iptables may be slow, or hang.
   * @throws Error if workers broke, or a step fails through a fault of kube-portal
   */
  async run(steps: readonly Step[]): Promise<DeliveredChange> {
    let listening: Promise<void> = Promise.resolve();
    let redirected = listening;
    for (const step of steps) {
      if (step.do === 'unredirect') await this.#unredirect(step.keys);
      else if (step.do === 'take over') await this.#takeOver(step.desired, step.diff, step.stale);
      else if (step.do === 'close') await this.#close(step.keys);
      else if (step.do === 'open') this.#open(step.keys);
      else if (step.do === 'tell workers') {
        await this.#prepareToTell(step.keys);
        listening = this.#tell(step.keys);
        redirected = listening;
      } else redirected = this.#redirect(step.keys, step.stale, listening);
    }
    // Both may reject before anybody waits for them. The caller gets the errors from the promises below.
    listening.catch(() => undefined);
    redirected.catch(() => undefined);
    await listening;
    return { redirected };
  }

  /** The portals become unfinished: if the next plan keeps one of them, it gets a new redirect. */
  async #unredirect(keys: readonly string[]): Promise<void> {
    for (const active of this.#tools.portals.existing(keys)) {
      active.redirectProgress.remove();
      this.#unfinished.add(active.key);
    }
    await this.#tools.redirects.change({ set: [], remove: keys });
  }

  async #takeOver(desired: Snapshot, diff: SnapshotDiff, stale: readonly string[]): Promise<void> {
    const { context, portals, dataplane } = this.#tools;
    await context.carriers.openFor([...diff.added, ...diff.changed.map(({ after }) => after)]);
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
    for (const active of this.#tools.portals.existing(keys)) {
      if (active.closeListeners()) this.#vacating.add(active.key);
    }
    if (this.#vacating.size === 0 && this.#closing.size === 0) return;
    const told = this.#vacating.size === 0 ? [] : [...new Set([...keys, ...this.#vacating])];
    const ids = [...this.#closing];
    await this.#apply(this.#tools.portals.existing(told), ids);
    for (const id of ids) this.#closing.delete(id);
    for (const key of told) this.#vacating.delete(key);
    this.#shareDescriptors();
  }

  /** When it resolves, the workers own the listeners. */
  async #apply(told: readonly ActivePortal[], ids: readonly number[]): Promise<void> {
    const set = told.map((active) => active.forDataplane());
    await this.#tools.dataplane.apply(set, ids);
    for (const active of told) active.handOver();
  }

  /** Gives descriptors that listeners do not use to connections and flows. */
  #shareDescriptors(): void {
    const { context, dataplane } = this.#tools;
    dataplane.budget.limit = context.capacity.forTraffic;
  }

  #open(keys: readonly string[]): void {
    const opening = this.#tools.portals.existing(keys);
    for (const active of opening) active.openListeners();
    this.#tools.opened(opening);
  }

  async #prepareToTell(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#unfinished.add(key);
    this.#shareDescriptors();
    await this.#tools.savePorts();
  }

  async #tell(keys: readonly string[]): Promise<void> {
    const told = this.#tools.portals.existing(keys);
    await this.#apply(told, []);
    for (const active of told) {
      active.hearEveryone();
      this.#vacating.delete(active.key);
      this.#unfinished.delete(active.key);
    }
  }

  /** The driver prepares the change while the workers receive the portals. */
  async #redirect(
    keys: readonly string[],
    stale: readonly string[],
    listening: Promise<void>,
  ): Promise<void> {
    const missing = this.#tools.portals.existing(keys).filter((active) => !active.redirectProgress.isInPlace);
    const wanted = missing.filter((active) => active.canRedirect);
    const lost = missing.filter((active) => active.redirectProgress.isOutdated && !active.canRedirect);
    const remove = [...stale, ...lost.map(({ key }) => key)];
    if (wanted.length === 0 && remove.length === 0) return listening;
    const sent = wanted.map((active) => ({
      active,
      redirect: active.redirect(),
      version: active.redirectProgress.version,
    }));
    const set = sent.map(({ redirect }) => redirect);
    for (const active of lost) active.redirectProgress.remove();
    for (const key of stale) this.#stale.delete(key);
    const failure = await this.#tools.redirects.change({ set, remove }, listening).catch(async (error) => {
      // After #tell, which marks the portals as finished.
      await Promise.allSettled([listening]);
      this.#leave(stale, wanted, lost);
      throw error;
    });
    for (const { active, redirect, version } of sent) {
      active.redirectProgress.finish(version, failure?.concerns(redirect.id) ?? false);
    }
  }

  /** The driver or the workers broke: the next plan redirects these portals. */
  #leave(stale: readonly string[], wanted: readonly ActivePortal[], lost: readonly ActivePortal[]): void {
    for (const key of stale) if (!this.#portals.has(key)) this.#stale.add(key);
    for (const active of lost) active.redirectProgress.removalFailed();
    for (const { key } of [...wanted, ...lost]) {
      if (this.#portals.has(key)) this.#unfinished.add(key);
    }
  }
}
