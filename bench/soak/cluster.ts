import type { Pod } from '../../test/lab/lab.js';
import {
  endpointSlice,
  type KubernetesObject,
  type ServiceOptions,
  service,
} from '../../test/lab/manifest.js';
import { CALM, DDS, EXTRA_SERVICES, extraService, RESTLESS } from './services.js';

/** The Services of a soak and their endpoints, which change. */
export class Cluster {
  /** Pods that terminate and still serve, and those that are no endpoints at all. */
  readonly leaving = new Set<Pod>();
  readonly gone = new Set<Pod>();
  readonly #extra = new Set<number>();

  constructor(
    readonly calm: readonly Pod[],
    readonly restless: readonly Pod[],
  ) {}

  objects(): KubernetesObject[] {
    const extra = [...this.#extra].map(extraService);
    return [
      ...this.#serve(CALM, this.calm),
      ...[RESTLESS, DDS, ...extra].flatMap((options) => this.#serve(options, this.restless)),
    ];
  }

  /** Adds a Service that was not there, or removes one. @param number of a second of the soak */
  toggleExtra(number: number): void {
    const extra = number % EXTRA_SERVICES;
    if (!this.#extra.delete(extra)) this.#extra.add(extra);
  }

  #serve(options: ServiceOptions, pods: readonly Pod[]): KubernetesObject[] {
    const ready = pods.filter((pod) => !this.leaving.has(pod) && !this.gone.has(pod));
    const leaving = pods.filter((pod) => this.leaving.has(pod));
    return [
      service(options),
      ...(['IPv4', 'IPv6'] as const).map((family) => endpointSlice(options, family, ready, { leaving })),
    ];
  }
}
