import type { Logger } from 'pino';
import type { NodeState } from '../../model/node.js';
import { type EndpointSlice, type ObjectSet, objectKey, type Service } from '../../model/objects.js';
import { describeProblem, freshProblems, type Problem } from '../../model/problem.js';
import type { Source } from '../source.js';
import { ApiClient, type ClientTimes } from './client.js';
import { Coalescer } from './coalescer.js';
import { EventRecorder, type EventSubject, nodeSubject } from './events.js';
import type { ClusterUser } from './kubeconfig.js';
import { Mirror } from './mirror.js';
import { Outage } from './outage.js';
import { Reflector } from './reflector.js';
import { nodeResource, type Resource, SERVICES, SLICES } from './resources.js';

export interface KubernetesOptions {
  readonly clusterUser: ClusterUser;
  /** Name of the Node object of this machine. */
  readonly nodeName: string;
  readonly log: Logger;
  /** Other times than the defaults, for tests. */
  readonly times?: Partial<ClientTimes>;
}

/**
 * Services, EndpointSlices and the Node of this machine from the Kubernetes API. Watches follow their
 * changes. If the API server is away or refuses, requests are repeated without end, and the last objects
 * stay.
 */
export class KubernetesSource implements Source {
  readonly #client: ApiClient;
  readonly #nodeName: string;
  readonly #log: Logger;
  readonly #outage: Outage;
  readonly #events: EventRecorder;
  readonly #abort = new AbortController();
  readonly #coalescer = new Coalescer(() => this.#publish());
  readonly #services = new Mirror<Service>(objectKey, () => this.#changed());
  readonly #slices = new Mirror<EndpointSlice>(objectKey, () => this.#changed());
  readonly #nodes = new Mirror<NodeState>(nodeKey, () => this.#changed());
  #running: Promise<unknown> = Promise.resolve();
  /** Null until all collections were listed. */
  #onChange: ((objects: ObjectSet) => void) | null = null;
  #published: { readonly objects: ObjectSet; readonly node: NodeState | null } | null = null;
  #problems: readonly Problem[] = [];

  constructor({ clusterUser, nodeName, log, times = {} }: KubernetesOptions) {
    this.#client = new ApiClient(clusterUser, times);
    this.#nodeName = nodeName;
    this.#log = log;
    this.#outage = new Outage(this.#client, log);
    this.#events = new EventRecorder(this.#client, nodeName, log);
  }

  /** Problems of objects that cannot be used at present. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** The Node of this machine. Null while it does not exist. Its changes call `onChange` too. */
  get node(): NodeState | null {
    return this.#nodes.values.values().next().value ?? null;
  }

  /** Writes an Event if the object of the problem is a Service or a Node. */
  warnOwner({ object, field, message }: Problem, reason: string): void {
    const subject = this.#subjectOf(object);
    if (subject === null) return;
    this.#events.warn(subject, reason, field === undefined ? message : `${field}: ${message}`);
  }

  #subjectOf(object: string): EventSubject | null {
    const [, node] = /^Node (.+)$/.exec(object) ?? [];
    if (node !== undefined) return nodeSubject(node);
    const [, namespace, name] = /^Service ([^/]+)\/(.+)$/.exec(object) ?? [];
    if (namespace === undefined || name === undefined) return null;
    const uid = this.#services.uidOf(`${namespace}/${name}`);
    return { apiVersion: 'v1', kind: 'Service', namespace, name, ...(uid && { uid }) };
  }

  /**
   * Waits for the first complete state without a time limit. Resolves then, or when the source is stopped.
   */
  async start(onChange: (objects: ObjectSet) => void): Promise<void> {
    const { signal } = this.#abort;
    const synced = Promise.all([
      this.#follow(SERVICES, this.#services),
      this.#follow(SLICES, this.#slices),
      this.#follow(nodeResource(this.#nodeName), this.#nodes),
    ]);
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    await Promise.race([synced, stopped]);
    if (signal.aborted) return;
    this.#outage.synced();
    if (this.node === null) this.#log.warn({ node: this.#nodeName }, NO_NODE);
    this.#onChange = onChange;
    this.#publish();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#coalescer.stop();
    await this.#client.close();
    await this.#running;
  }

  /** Starts a reflector. Resolves when its mirror is complete. */
  #follow<T>(candidates: readonly Resource<T>[], mirror: Mirror<T>): Promise<void> {
    const { name } = candidates[0] as Resource<T>;
    return new Promise((resolve) => {
      const reflector = new Reflector(this.#client, candidates, mirror, {
        synced: (resource) => {
          this.#log.debug({ resource }, 'collection listed; its watch begins');
          resolve();
        },
        working: () => this.#outage.working(name),
        failed: (error) => this.#outage.failed(name, error),
      });
      this.#running = Promise.all([this.#running, reflector.run(this.#abort.signal)]);
    });
  }

  #changed(): void {
    if (this.#onChange !== null) this.#coalescer.request();
  }

  #publish(): void {
    const objects = { services: this.#services.values, slices: this.#slices.values };
    const { node } = this;
    this.#reportProblems();
    const before = this.#published;
    if (
      before?.objects.services === objects.services &&
      before.objects.slices === objects.slices &&
      before.node === node
    ) {
      return;
    }
    this.#published = { objects, node };
    this.#onChange?.(objects);
  }

  #reportProblems(): void {
    const problems = [this.#services, this.#slices, this.#nodes].flatMap((mirror) => mirror.problems);
    for (const problem of freshProblems(problems, this.#problems)) {
      this.#log.error(describeProblem(problem));
    }
    this.#problems = problems;
  }
}

function nodeKey({ name }: NodeState): string {
  return name;
}

const NO_NODE =
  'there is no Node of this name, so the zone of this machine is not known; give the name of its Node with ' +
  '--hostname-override';
