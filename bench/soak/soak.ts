import { setTimeout as sleep } from 'node:timers/promises';
import { tracesIn } from '../../test/lab/traces.js';
import { Crowd } from './crowd.js';
import type { SoakResult } from './report.js';
import { CLIENTS } from './services.js';
import type { Stage } from './stage.js';
import { Troubles } from './trouble.js';
import { readUsage, type Usage } from './usage.js';
import { type History, judge, type KindResult } from './verdict.js';

/** Seconds between two looks at what kube-portal takes. */
const USAGE_PERIOD = 10;
const OWN_MARK = '0x40000000/0x40000000';

export interface SoakPlan {
  readonly carrier: string;
  readonly seconds: number;
}

/** One soak: clients of all kinds, trouble each second, and two restarts of kube-portal. */
export class Soak {
  readonly #stage: Stage;
  readonly #plan: SoakPlan;
  readonly #say: (progress: string) => void;
  readonly #crowd: Crowd;
  readonly #troubles: Troubles;
  readonly #usages: Usage[] = [];
  readonly #gaps: { from: number; to: number }[] = [];
  #process = 1;

  /** @param say takes a line about the progress */
  constructor(stage: Stage, plan: SoakPlan, say: (progress: string) => void) {
    this.#stage = stage;
    this.#plan = plan;
    this.#say = say;
    this.#crowd = new Crowd(stage.lab.pod('client'), CLIENTS);
    this.#troubles = new Troubles(stage);
  }

  async run(): Promise<SoakResult> {
    const { seconds, carrier } = this.#plan;
    const signals = new Map([
      [Math.floor(seconds / 3), 'SIGKILL'],
      [Math.floor((2 * seconds) / 3), 'SIGTERM'],
    ] as const);
    let restarting: Promise<void> = Promise.resolve();
    const begun = performance.now();
    for (let second = 0; second < seconds; second++) {
      this.#troubles.begin(second);
      const signal = signals.get(second);
      if (signal !== undefined) restarting = restarting.then(() => this.#restart(signal));
      // The failure of a restart is told at the end.
      restarting.catch(() => undefined);
      if (second % USAGE_PERIOD === USAGE_PERIOD - 1 && !this.#isRestarting) await this.#look(second);
      await sleep(begun + (second + 1) * 1000 - performance.now());
    }
    await restarting;
    await this.#troubles.end();
    await this.#crowd.end();
    return { carrier, seconds, clients: this.#judge(), usages: this.#usages, leftovers: await this.#leave() };
  }

  get #isRestarting(): boolean {
    return this.#gaps.at(-1)?.to === Number.POSITIVE_INFINITY;
  }

  async #restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { kubePortal } = this.#stage;
    const gap = { from: Date.now(), to: Number.POSITIVE_INFINITY };
    this.#gaps.push(gap);
    await kubePortal.program.stop(signal);
    await kubePortal.startAgain();
    gap.to = Date.now();
    this.#process++;
    this.#say(`${signal}, and served again after ${gap.to - gap.from} ms`);
  }

  async #look(second: number): Promise<void> {
    const usage = await readUsage(this.#stage, second, this.#process);
    this.#usages.push(usage);
    const clients = this.#judge().map(({ kind, done, errors }) => `${kind} ${done}/${errors.length}`);
    const { memory, descriptors, entries, rules } = usage;
    this.#say(
      `${second + 1} s: done/errors: ${clients.join(', ')}; ` +
        `${Math.round(memory)} MiB, ${descriptors} descriptors, ${entries} entries, ${rules} rules`,
    );
  }

  #judge(): KindResult[] {
    const history: History = { kills: this.#troubles.kills, gaps: this.#gaps, carrier: this.#plan.carrier };
    return judge(this.#crowd.totals(), history);
  }

  /** Ends kube-portal and cleans up. @returns what is left */
  async #leave(): Promise<string[]> {
    const { lab, kubePortal } = this.#stage;
    await kubePortal.stop();
    await kubePortal.command('run', ['--cleanup']);
    const { stdout } = await lab.node.exec('conntrack', ['-L', '-m', OWN_MARK]);
    return [...(await tracesIn(lab.node)), ...stdout.split('\n').filter((line) => line !== '')];
  }
}
