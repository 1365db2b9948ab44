import type { Contender, ServiceSet } from './contenders/contender.js';
import { Deployment } from './deployment.js';
import type { Span } from './load/plan.js';
import type { TestbedOptions } from './testbed.js';

/** Service ports in rows that do not measure many ports. */
export const FEW_PORTS = 10;

/** The times of measurements, seconds. */
export interface Times extends Span {
  /** For rows about what goes wrong only after a while. */
  readonly endurance: number;
}

/** One contender's turn in one round. A deployment is made when the first row needs it. */
export class Turn {
  readonly #deployments = new Map<number, Deployment>();

  constructor(
    readonly contender: Contender,
    readonly times: Times,
  ) {}

  /** A deployment that the rows of this turn share. @param ports service ports */
  async deployment(ports = FEW_PORTS): Promise<Deployment> {
    const known = this.#deployments.get(ports);
    if (known !== undefined) return known;
    const deployment = await Deployment.open(this.contender, { ports });
    this.#deployments.set(ports, deployment);
    return deployment;
  }

  /** Does the work with a contender that has just started. The deployment is closed afterwards. */
  async inFreshDeployment<Result>(
    services: ServiceSet,
    work: (deployment: Deployment) => Promise<Result>,
    options?: TestbedOptions,
  ): Promise<Result> {
    const deployment = await Deployment.open(this.contender, services, options);
    try {
      return await work(deployment);
    } finally {
      await deployment.close();
    }
  }

  async end(): Promise<void> {
    for (const deployment of this.#deployments.values()) await deployment.close();
  }
}
