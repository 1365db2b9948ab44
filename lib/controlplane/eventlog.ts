import type { Logger } from 'pino';
import { EventLimiter, MAX_NAMES } from '../dataplane/shared/eventlimiter.js';
import type { DataplaneEvent, SuppressedEvents } from '../dataplane/shared/messages.js';
import { lineOf } from './eventline.js';

/** Milliseconds. An event that comes again within this time, from any worker, is counted and not logged. */
const PERIOD_MS = 5000;

/** The beginning of the line that counts the events that were not logged. */
const TITLES: Readonly<Record<DataplaneEvent['kind'], string>> = {
  endpointFailed: 'endpoints failed',
  nodeFailed: 'clients were not served',
  notCarried: 'clients were relayed and not carried by the kernel',
  synsUndecided: 'more SYNs came than a worker could decide about',
  datagramsUndecided: 'more new UDP flows came than a worker could decide about',
  portsShort: 'local ports were short',
  hopsUsedUp: 'clients had no hops left',
  participantsLimited: 'clients sent for too many DDS participants',
  clientBehindNat: 'DDS clients were behind NAT',
  copiesLimited: 'Services with rtps-routing needed too many copies',
  clientLimited: 'clients had more connections than others near the limit',
  listenerWaits: 'listeners had to wait',
  stuck: 'sockets gave nothing but errors',
  descriptorsOut: 'descriptors were short',
};

/** Logs the workers' events: at most a few lines of each kind in five seconds. */
export class EventLog {
  readonly #log: Logger;
  readonly #descriptorLimit: () => number;
  readonly #limiter = new EventLimiter(PERIOD_MS, (suppressed) => logSuppressed(this.#log, suppressed));
  #timer: NodeJS.Timeout | null = null;

  /** @param descriptorLimit the current limit of open files */
  constructor(log: Logger, descriptorLimit: () => number) {
    this.#log = log;
    this.#descriptorLimit = descriptorLimit;
  }

  write(event: DataplaneEvent): void {
    if (this.#limiter.admit(event, performance.now())) {
      const { values, message } = lineOf(event, this.#descriptorLimit());
      this.#log.warn(values, message);
    }
    this.#setTimer();
  }

  /** Counts events that a worker has counted and not sent. */
  count(suppressed: SuppressedEvents): void {
    this.#limiter.count(suppressed, performance.now());
    this.#setTimer();
  }

  /** Logs the counts until now. */
  flush(): void {
    this.#limiter.expire(Number.POSITIVE_INFINITY);
  }

  #setTimer(): void {
    const { deadline } = this.#limiter;
    if (this.#timer !== null || deadline === Number.POSITIVE_INFINITY) return;
    const onTime = () => {
      this.#timer = null;
      this.#limiter.expire(performance.now());
      this.#setTimer();
    };
    this.#timer = setTimeout(onTime, Math.ceil(deadline - performance.now())).unref();
  }
}

function logSuppressed(log: Logger, { kind, times, endpoints }: SuppressedEvents): void {
  const count = endpoints.length === MAX_NAMES ? `${MAX_NAMES} or more` : endpoints.length;
  const ofEndpoints = count === 0 ? '' : `, ${count} endpoints`;
  log.warn({ times }, `${TITLES[kind]} ${times} more times in ${PERIOD_MS / 1000} s${ofEndpoints}`);
}
