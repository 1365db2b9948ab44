import { setTimeout as sleep } from 'node:timers/promises';
import type { RunRecord, StageRecord } from '../analysis.js';
import { NotMeasured } from '../notmeasured.js';
import { isAnswered, type Link, type Observation } from '../observation.js';
import type { Asked, AskedPort, Timeout } from '../result.js';
import { tenths } from '../tenths.js';
import { Clients } from './clients.js';
import type { Attempt, ClientSetup } from './clienttasks.js';
import { type Kind, likelyKinds, portText, type ServicePort } from './identify/kinds.js';
import { REASONS } from './noname.js';
import { whyUnreachable } from './reachability.js';
import { runInShell } from './shell.js';
import { measureTimeout } from './timeout.js';

/** What a run is to do. */
export interface RunOptions
  extends Pick<Asked, 'service' | 'endpoints' | 'rounds' | 'expect'>,
    Omit<ClientSetup, 'startNs'> {
  readonly ports: readonly ServicePort[];
  /** A kind must fit the protocols of all ports. */
  readonly identify: Kind | 'auto';
  /** Commands of which the effect on sessions is measured, one after the other. */
  readonly during: readonly string[];
  /** Time between two questions of a link while a command runs, ms. */
  readonly intervalMs: number;
  /** How long links are probed after a command has ended, ms. */
  readonly settleMs: number;
  /** The longest pause for the measurement of the time-out, ms. Null: it is not measured. */
  readonly longestPauseMs: number | null;
  /** Told in a few words what happens now. */
  readonly onProgress: (text: string) => void;
  /** Ends the run: it rejects with the reason. */
  readonly signal: AbortSignal;
}

/** Milliseconds of steady probes before a command, which show what is usual. */
const USUAL_MS = 1000;

/** Carries out a run. @throws NotMeasured; the reason of the signal */
export async function runTest(options: RunOptions): Promise<RunRecord> {
  const startNs = process.hrtime.bigint();
  options.onProgress('bringing up clients');
  const { address, clients, patienceMs, httpPath, endpointNames } = options;
  const setup = { startNs, address, clients, patienceMs, httpPath, endpointNames };
  const running = await Clients.start(setup).catch((error: Error) => {
    throw new NotMeasured(error.message);
  });
  const stop = () => running.close();
  options.signal.addEventListener('abort', stop);
  try {
    return await new Run(options, running, startNs).record();
  } catch (error) {
    options.signal.throwIfAborted();
    throw error;
  } finally {
    options.signal.removeEventListener('abort', stop);
    await running.close();
  }
}

class Run {
  readonly #options: RunOptions;
  readonly #clients: Clients;
  readonly #startedAt = new Date().toISOString();
  readonly #startNs: bigint;
  readonly #links: readonly Link[];
  readonly #stages: StageRecord[] = [];
  #observations: Observation[] = [];

  constructor(options: RunOptions, clients: Clients, startNs: bigint) {
    this.#options = options;
    this.#clients = clients;
    this.#startNs = startNs;
    const ports = options.ports.map(portText);
    this.#links = clients.addresses.flatMap((client) => ports.map((port) => ({ client, port })));
  }

  async record(): Promise<RunRecord> {
    const { service, endpoints, rounds, expect, address, during } = this.#options;
    const ports = await this.#identify();
    await this.#askInRounds();
    for (const command of during) {
      await this.#watch(command);
      await this.#askInRounds();
    }
    const timeout = await this.#measureTimeout();
    return {
      startedAt: this.#startedAt,
      tookMs: this.#nowMs(),
      asked: { address, service, endpoints, ports, clients: this.#clients.addresses, rounds, expect },
      stages: this.#stages,
      observations: this.#observations,
      timeout,
    };
  }

  async #identify(): Promise<AskedPort[]> {
    const { ports, identify } = this.#options;
    const asked: AskedPort[] = [];
    for (const port of ports) {
      const text = portText(port);
      this.#progress(`finding out how to tell the backends of ${text} apart`);
      const kinds = identify === 'auto' ? likelyKinds(port) : [identify];
      const { kind, attempts } = await this.#clients.do('identify', { port, kinds });
      if (kind === null) throw new NotMeasured(whyUnknown(text, attempts, this.#options));
      asked.push({ port: text, identify: kind });
    }
    return asked;
  }

  async #askInRounds(): Promise<void> {
    const { rounds } = this.#options;
    const [stage, startMs] = [this.#stages.length, this.#nowMs()];
    for (let round = 0; round < rounds; round++) {
      this.#progress(`round ${round + 1} of ${rounds}: ${this.#links.length} links`);
      this.#keep(await this.#clients.do('askEach', { stage, round, links: this.#links }));
    }
    this.#stages.push({ kind: 'rounds', startMs, endMs: this.#nowMs() });
  }

  async #watch(command: string): Promise<void> {
    const { intervalMs, settleMs, signal } = this.#options;
    const [stage, startMs] = [this.#stages.length, this.#nowMs()];
    await this.#clients.do('beginSteady', { stage, intervalMs, links: this.#links });
    await sleep(USUAL_MS, null, { signal });
    this.#progress(`probing ${this.#links.length} links while the command runs: ${command}`);
    const commandStartMs = this.#nowMs();
    const exitCode = await runInShell(command, signal);
    const commandEndMs = this.#nowMs();
    this.#progress('the command has ended; probing a little longer');
    await sleep(settleMs, null, { signal });
    this.#keep(await this.#clients.do('endSteady', null));
    const times = { startMs, commandStartMs, commandEndMs, endMs: this.#nowMs() };
    this.#stages.push({ kind: 'event', command, exitCode, intervalMs, ...times });
  }

  async #measureTimeout(): Promise<Timeout | null> {
    const { longestPauseMs, signal, ports } = this.#options;
    const [first] = ports;
    if (longestPauseMs === null || first === undefined) return null;
    const port = portText(first);
    this.#progress(`measuring the time-out at ${port}, with pauses up to ${longestPauseMs / 1000} s`);
    const world = {
      ask: async (clients: readonly string[]) => {
        const links = clients.map((client) => ({ client, port }));
        return (await this.#clients.do('askEach', { stage: -1, round: 0, links })).filter(isAnswered);
      },
      sleep: (ms: number) => sleep(ms, null, { signal }),
      now: () => this.#nowMs(),
    };
    return await measureTimeout(world, port, this.#clients.addresses, longestPauseMs);
  }

  /** A long event has too many for the arguments of push. */
  #keep(observations: readonly Observation[]): void {
    this.#observations = this.#observations.concat(observations);
  }

  #progress(text: string): void {
    this.#options.signal.throwIfAborted();
    this.#options.onProgress(text);
  }

  #nowMs(): number {
    return tenths(Number(process.hrtime.bigint() - this.#startNs) / 1e6);
  }
}

function whyUnknown(port: string, attempts: readonly Attempt[], { address, clients }: RunOptions): string {
  const tried = attempts.map(({ kind, error }) => `${kind}: ${error}`).join('; ');
  const isSilent = attempts.every(({ error }) => error === REASONS.silence);
  const hints = isSilent && clients !== null ? `. ${whyUnreachable(address)}` : '';
  return `${port}: no backend told its name (${tried})${hints}`;
}
