import { setTimeout as sleep } from 'node:timers/promises';
import { item } from '../../test/lab/items.js';
import type { Pod } from '../../test/lab/lab.js';
import type { Stage } from './stage.js';

/** What happens to an endpoint. */
interface Trouble {
  begin(stage: Stage, pod: Pod): void | Promise<void>;
  end(stage: Stage, pod: Pod): void | Promise<void>;
}

const killed: Trouble = {
  begin: (stage, pod) => stage.kill(pod),
  end: (stage, pod) => stage.start(pod),
};

const silent: Trouble = {
  begin: (_, pod) => setSilence(pod, '-A'),
  end: (_, pod) => setSilence(pod, '-D'),
};

const removed = missingIn('gone');
const notReady = missingIn('leaving');

const TROUBLES = [killed, removed, silent, notReady] as const;
/** Most restless pods that have trouble at the same time: two others serve. */
const MAX_TROUBLED = 2;
const TROUBLE_MS = 2000;
/** The calm pods leave their Service in turn, one for half of this time, s. */
const CALM_PERIOD = 10;

async function setSilence(pod: Pod, command: '-A' | '-D'): Promise<void> {
  // Not of neighbour discovery: the node would hear that the pod is gone.
  const rule = ['INPUT', '-i', 'eth0', '!', '-p', 'ipv6-icmp', '-j', 'DROP'];
  for (const program of ['iptables', 'ip6tables']) await pod.must(program, ['-w', '10', command, ...rule]);
}

function missingIn(list: 'leaving' | 'gone'): Trouble {
  return {
    begin(stage, pod) {
      stage.cluster[list].add(pod);
      stage.publish();
    },
    end(stage, pod) {
      stage.cluster[list].delete(pod);
      stage.publish();
    },
  };
}

/** Makes trouble for endpoints and Services. */
export class Troubles {
  readonly #stage: Stage;
  readonly #running = new Map<Pod, Promise<void>>();
  #count = 0;
  /** When pods were killed, Date.now(). Connections to them end with them. */
  readonly kills: number[] = [];

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** The changes of one second: a Service, and an endpoint or two. */
  begin(second: number): void {
    const { cluster } = this.#stage;
    cluster.toggleExtra(second);
    this.#swapCalm(second);
    this.#stage.publish();
    if (this.#running.size >= MAX_TROUBLED) return;
    const quiet = cluster.restless.filter((pod) => !this.#running.has(pod));
    const pod = item(quiet, second % quiet.length);
    const trouble = item(TROUBLES, this.#count++ % TROUBLES.length);
    this.#running.set(
      pod,
      this.#make(trouble, pod).finally(() => this.#running.delete(pod)),
    );
  }

  /** Resolves when all is well again. */
  async end(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  #swapCalm(second: number): void {
    const { calm, gone } = this.#stage.cluster;
    for (const pod of calm) gone.delete(pod);
    const turn = Math.floor(second / CALM_PERIOD);
    if (second % CALM_PERIOD < CALM_PERIOD / 2) gone.add(item(calm, turn % calm.length));
  }

  async #make(trouble: Trouble, pod: Pod): Promise<void> {
    if (trouble === killed) this.kills.push(Date.now());
    await trouble.begin(this.#stage, pod);
    await sleep(TROUBLE_MS);
    await trouble.end(this.#stage, pod);
  }
}
