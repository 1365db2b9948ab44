import type { Logger } from 'pino';
import type { NodeAddresses } from '../controlplane/nodeaddresses.js';
import { podsHere } from '../controlplane/podshere.js';
import type { ServiceProxy } from '../controlplane/proxy.js';
import { countChanges } from '../model/changes.js';
import { buildDesiredState, type DesiredState } from '../model/desiredstate.js';
import type { Node } from '../model/node.js';
import type { ObjectSet } from '../model/objects.js';
import { describeProblem, freshProblems } from '../model/problem.js';
import type { Snapshot } from '../portal/portal.js';
import type { HealthCheckPorts } from '../server/health-check-ports.js';
import type { SyncMetrics } from '../server/sync-metrics.js';
import type { Source } from '../sources/source.js';
import { nodeNameOf } from './node-name.js';
import { nodePortAddresses } from './nodeport-addresses.js';
import type { RunFlags } from './run-flags.js';

const NO_OBJECTS: ObjectSet = { services: new Map(), slices: new Map() };

interface FollowerParts {
  readonly flags: RunFlags;
  readonly log: Logger;
  readonly source: Source;
  readonly proxy: ServiceProxy;
  readonly nodeAddresses: NodeAddresses;
  readonly healthChecks: HealthCheckPorts;
  readonly metrics: SyncMetrics;
  /** The ports of the program's HTTP servers. */
  serverPorts(): readonly number[];
}

/** Follows the source: brings each of its states into effect. */
export class SourceFollower {
  readonly #parts: FollowerParts;
  #desired: DesiredState | undefined;
  #lastUpdated: Date | null = null;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /** When a state last came into effect. Null: none has. */
  get lastUpdated(): Date | null {
    return this.#lastUpdated;
  }

  /**
   * Starts the source. Resolves once its first state is in effect.
   * @returns the portals that are wanted then. Null: the source was stopped before its first state.
   * @throws Error if the first state cannot take effect
   */
  async start(): Promise<Snapshot | null> {
    const { source, log } = this.#parts;
    let first: Promise<void> | undefined;
    await source.start((objects) => {
      const applied = this.#apply(objects);
      first ??= applied;
      applied.catch((error: unknown) => log.error({ err: error }, 'a change did not take effect'));
    });
    await first;
    return this.#desired?.snapshot ?? null;
  }

  async #apply(objects: ObjectSet): Promise<void> {
    const { log, source, proxy, healthChecks, metrics } = this.#parts;
    const startedMs = Date.now();
    metrics.received(startedMs);
    const desired = buildDesiredState(objects, this.#node(), this.#desired);
    for (const problem of freshProblems(desired.problems, this.#desired?.problems ?? [])) {
      log.warn(describeProblem(problem));
      source.warnOwner?.(problem, 'NotProxied');
    }
    const changes = countChanges(this.#desired?.objects ?? NO_OBJECTS, objects);
    this.#desired = desired;
    await proxy.apply(desired.snapshot, this.#ownPorts(desired));
    await healthChecks.update(desired.healthChecks);
    this.#lastUpdated = new Date();
    metrics.observe({ ...changes, startedMs, finishedMs: this.#lastUpdated.getTime() });
  }

  #node(): Node {
    const { flags, source, nodeAddresses } = this.#parts;
    const state = source.node ?? null;
    return {
      name: nodeNameOf(flags),
      zone: state?.zone ?? null,
      podCidrs: podsHere(flags.clusterCidr, state?.podCidrs ?? []),
      nodePortAddresses: nodePortAddresses(nodeAddresses, state),
    };
  }

  /** The ports of this program's servers. A proxy port must have another number. */
  #ownPorts({ healthChecks }: DesiredState): number[] {
    return [...this.#parts.serverPorts(), ...healthChecks.map(({ port }) => port)];
  }
}
