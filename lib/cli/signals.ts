import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import { exitNow } from '../sys/exit.js';
import { HASTE_MS, limitTheEnd } from './ending.js';

/** What people, service managers and resource limits end a program with. */
const ENDING: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGXCPU', 'SIGPWR'];
/**
 * What would end the process where it stands if nobody listened, with rules and addresses left behind. Node
 * takes SIGUSR1 for an order to open its debugger.
 */
const MEANINGLESS: readonly NodeJS.Signals[] = [
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGIO',
  'SIGSTKFLT',
  'SIGXFSZ',
];

/** When to end, and how fast. */
export interface Orders {
  /**
   * Resolves on the order to end; rejects on an error that nobody caught,
   * so that the caller can clean up in either case.
   */
  readonly stop: Promise<void>;
  /** Resolves on the second order: connections need not drain, but rules still go. */
  readonly hurry: Promise<void>;
}

/**
 * Listens for signals from now on. The first that means the end resolves `stop`, the second `hurry`: then
 * nothing that hangs can keep the process for long. A third one ends it as it is, with exit code 1.
 */
export function hearOrders(log: Logger): Orders {
  const orders = new OrderBook(log);
  for (const signal of ENDING) process.on(signal, () => orders.end(signal));
  const ignore = (signal: NodeJS.Signals) => log.info({ signal }, 'the signal means nothing here');
  for (const signal of MEANINGLESS) process.on(signal, ignore);
  // A terminal that closes takes its programs along; of others it asks to read their files again.
  const isOnTerminal = isatty(0);
  process.on('SIGHUP', () => {
    if (isOnTerminal) orders.end('SIGHUP');
    else
      log.info(
        { signal: 'SIGHUP' },
        'the signal means nothing here: manifests and configuration are watched',
      );
  });
  process.on('uncaughtException', (error) => orders.fail(error));
  return orders;
}

class OrderBook implements Orders {
  readonly stop: Promise<void>;
  readonly hurry: Promise<void>;
  readonly #log: Logger;
  #given = 0;
  #onStop!: () => void;
  #onFailure!: (error: Error) => void;
  #onHurry!: () => void;

  constructor(log: Logger) {
    this.#log = log;
    this.stop = new Promise((resolve, reject) => {
      this.#onStop = resolve;
      this.#onFailure = reject;
    });
    // Whoever awaits the promise later sees the error; until then it must not count as unhandled once more.
    this.stop.catch(() => undefined);
    this.hurry = new Promise((resolve) => {
      this.#onHurry = resolve;
    });
  }

  end(signal: NodeJS.Signals): void {
    this.#given++;
    if (this.#given > 2) exitNow(1);
    else if (this.#given === 2) this.#hasten(signal);
    else {
      this.#log.info(
        { signal },
        'stopping; a second signal cuts open connections, a third leaves rules behind',
      );
      this.#onStop();
    }
  }

  fail(error: Error): void {
    this.#given = Math.max(this.#given, 1);
    this.#log.fatal({ err: error }, 'unexpected error');
    this.#onFailure(error);
  }

  #hasten(signal: NodeJS.Signals): void {
    this.#log.info({ signal }, 'stopping at once');
    limitTheEnd(this.#log, HASTE_MS);
    this.#onHurry();
  }
}
