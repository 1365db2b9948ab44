import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import { exitNow } from '../sys/exit.js';
import { HURRIED_SHUTDOWN_MS, limitShutdown } from './shutdown.js';

/** Signals that stop the program. Users, service managers and resource limits send them. */
const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGXCPU', 'SIGPWR'];
/**
 * Signals that are ignored. Without a listener they end the process at once, and rules and addresses are
 * left behind; SIGUSR1 makes Node open its debugger.
 */
const IGNORED_SIGNALS: readonly NodeJS.Signals[] = [
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGIO',
  'SIGSTKFLT',
  'SIGXFSZ',
];

/** Requests to stop the program. */
export interface StopRequests {
  /** Resolves on the first request. Rejects on an uncaught error. The caller cleans up in both cases. */
  readonly stop: Promise<void>;
  /** Resolves on the second request: connections are not drained, but rules are still removed. */
  readonly hurry: Promise<void>;
}

/**
 * Listens for signals from now on. The first stop signal resolves `stop`. The second resolves `hurry`, and
 * the process ends within 6 s. The third ends the process at once with exit code 1.
 */
export function listenForSignals(log: Logger): StopRequests {
  const stopRequests = new StopSignals(log);
  for (const signal of STOP_SIGNALS) process.on(signal, () => stopRequests.request(signal));
  const ignore = (signal: NodeJS.Signals) => log.info({ signal }, 'the signal has no effect');
  for (const signal of IGNORED_SIGNALS) process.on(signal, ignore);
  // On a terminal, SIGHUP means that the terminal closes. A daemon gets it as a request to reread its files.
  const isOnTerminal = isatty(0);
  process.on('SIGHUP', () => {
    if (isOnTerminal) stopRequests.request('SIGHUP');
    else
      log.info(
        { signal: 'SIGHUP' },
        'the signal has no effect: manifests and configuration are read when they change',
      );
  });
  process.on('uncaughtException', (error) => stopRequests.fail(error));
  return stopRequests;
}

class StopSignals implements StopRequests {
  readonly stop: Promise<void>;
  readonly hurry: Promise<void>;
  readonly #log: Logger;
  /** Requests so far. */
  #count = 0;
  #onStop!: () => void;
  #onFailure!: (error: Error) => void;
  #onHurry!: () => void;

  constructor(log: Logger) {
    this.#log = log;
    this.stop = new Promise((resolve, reject) => {
      this.#onStop = resolve;
      this.#onFailure = reject;
    });
    // Nothing may await the promise yet. Without this, the error would count as an unhandled rejection.
    this.stop.catch(() => undefined);
    this.hurry = new Promise((resolve) => {
      this.#onHurry = resolve;
    });
  }

  request(signal: NodeJS.Signals): void {
    this.#count++;
    if (this.#count > 2) exitNow(1);
    else if (this.#count === 2) this.#hasten(signal);
    else {
      this.#log.info(
        { signal },
        'stopping; a second signal closes open connections, a third ends the process with rules left behind',
      );
      this.#onStop();
    }
  }

  fail(error: Error): void {
    this.#count = Math.max(this.#count, 1);
    this.#log.fatal({ err: error }, 'unexpected error');
    this.#onFailure(error);
  }

  #hasten(signal: NodeJS.Signals): void {
    this.#log.info({ signal }, 'stopping at once');
    limitShutdown(this.#log, HURRIED_SHUTDOWN_MS);
    this.#onHurry();
  }
}
