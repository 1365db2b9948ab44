import type { Logger } from 'pino';
import { EventLimiter, MAX_NAMES } from '../dataplane/shared/eventlimiter.js';
import type { DataplaneEvent, SuppressedEvents } from '../dataplane/shared/messages.js';

/** Milliseconds. An event that comes again within this time, from any worker, is counted and not logged. */
const PERIOD_MS = 5000;

/** What an endpoint's error means, if its name does not tell. */
const ENDPOINT_CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'no host has that address, or this node has an unreachable route to it',
  ENETUNREACH: 'no route of this node leads there',
  EACCES: 'this node has a prohibit route to it, or a packet filter refuses the way',
  EINVAL: 'this node has a blackhole route to it',
  EPERM: 'a policy of this node forbids it',
};

/** What an error of this node itself means, and what to do. */
const NODE_FAILURES: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL:
    'no local port is left towards the endpoint, or this node has no address of its family; widen net.ipv4.ip_local_port_range',
  EAGAIN: 'no local port is left; widen net.ipv4.ip_local_port_range',
  ENOSPC: 'this user has reached the number of files that epoll may watch; raise fs.epoll.max_user_watches',
  ENFILE: 'all programs together have reached the limit of open files; raise fs.file-max',
  ENOBUFS: 'the kernel has no memory for another socket',
  ENOMEM: 'the kernel has no memory for another socket',
};

/** The beginning of the line that counts the events that were not logged. */
const TITLES: Readonly<Record<DataplaneEvent['kind'], string>> = {
  endpointFailed: 'endpoints failed',
  nodeFailed: 'clients were not served',
  portsShort: 'local ports were short',
  hopsUsedUp: 'clients had no hops left',
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
    if (this.#limiter.admit(event, performance.now())) logEvent(this.#log, event, this.#descriptorLimit());
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

function causeOf(reason: string): string {
  return NODE_FAILURES[reason] ?? 'this node failed, not the endpoint';
}

function logEvent(log: Logger, event: DataplaneEvent, limit: number): void {
  switch (event.kind) {
    case 'endpointFailed': {
      const { portal, endpoint, reason } = event;
      const cause = ENDPOINT_CAUSES[reason];
      log.warn({ portal, endpoint, reason, cause }, 'endpoint failed; its clients move to another');
      break;
    }
    case 'nodeFailed': {
      const { portal, endpoint, reason } = event;
      log.warn({ portal, endpoint, reason }, `a client was not served: ${causeOf(reason)}`);
      break;
    }
    case 'listenerWaits': {
      const { portal, reason } = event;
      log.warn({ portal, reason }, `new clients wait: ${causeOf(reason)}`);
      break;
    }
    case 'stuck': {
      const { portal, reason } = event;
      log.warn(
        { portal, reason },
        'a socket is ready and gives nothing but an error, again and again: kube-portal tries it ten times a second until the error ends; check whether a seccomp filter or a security module forbids the call, or the kernel lacks it',
      );
      break;
    }
    case 'portsShort': {
      const { endpoint, ports } = event;
      log.warn(
        { endpoint, ports },
        'local UDP ports towards the endpoint are nearly used up: flows that have their answer, such as DNS look-ups, end early; widen net.ipv4.ip_local_port_range',
      );
      break;
    }
    case 'hopsUsedUp': {
      const { portal, client } = event;
      log.warn(
        { portal, client },
        'a client was not served: its traffic has gone through as many hops as allowed, most likely in a circle; look for an endpoint that leads back to this Service, through another node, a NodePort, a proxy or a rule',
      );
      break;
    }
    case 'clientLimited':
      log.warn(
        { client: event.client, limit },
        'descriptors are nearly used up, and this client has the most connections: its new connections wait or are refused, and its idle connections end if other clients need descriptors; raise the hard limit of open files (LimitNOFILE)',
      );
      break;
    case 'descriptorsOut':
      log.warn(
        { limit },
        'descriptors are used up: new connections wait; raise the hard limit of open files (LimitNOFILE)',
      );
      break;
  }
}
