import type { Logger } from 'pino';
import { EventLimiter, MAX_NAMES } from '../dataplane/shared/eventlimiter.js';
import type { DataplaneEvent, UntoldEvents } from '../dataplane/shared/messages.js';

/** How long, ms, the same event of several workers, or again, is not worth another line. */
const PERIOD = 5000;

/** What an endpoint's error means, where its name does not tell. */
const ENDPOINT_CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'nobody has that address, or an unreachable route of this node',
  ENETUNREACH: 'no route of this node leads there',
  EACCES: 'a prohibit route of this node, or a packet filter on the way',
  EINVAL: 'a blackhole route of this node',
  EPERM: 'a policy of this node forbids it',
};

/** What an error of this node's own means, and what to do. */
const NODE_FAILURES: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL:
    'no local port is left towards the endpoint, or this node has no address of its family; widen net.ipv4.ip_local_port_range',
  EAGAIN: 'no local port is left; widen net.ipv4.ip_local_port_range',
  ENOSPC: 'the files that epoll may watch for this user are used up; raise fs.epoll.max_user_watches',
  ENFILE: 'all programs together have used up the open files; raise fs.file-max',
  ENOBUFS: 'the kernel has no memory for another socket',
  ENOMEM: 'the kernel has no memory for another socket',
};

/** What an operator reads of events that were too many. */
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

/**
 * What happened in the workers, written for an operator to read:
 * a few lines of each kind in five seconds at most.
 */
export class EventLog {
  readonly #log: Logger;
  readonly #descriptorLimit: () => number;
  readonly #limiter = new EventLimiter(PERIOD, (untold) => logUntold(this.#log, untold));
  #timer: NodeJS.Timeout | null = null;

  /** @param descriptorLimit the limit of open files that counts now */
  constructor(log: Logger, descriptorLimit: () => number) {
    this.#log = log;
    this.#descriptorLimit = descriptorLimit;
  }

  write(event: DataplaneEvent): void {
    if (this.#limiter.admit(event, performance.now())) logEvent(this.#log, event, this.#descriptorLimit());
    this.#setTimer();
  }

  /** Counts events that a worker did not tell. */
  count(untold: UntoldEvents): void {
    this.#limiter.count(untold, performance.now());
    this.#setTimer();
  }

  /** Says what has been counted until now. */
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

function logUntold(log: Logger, { kind, times, endpoints }: UntoldEvents): void {
  const count = endpoints.length === MAX_NAMES ? `${MAX_NAMES} or more` : endpoints.length;
  const whom = count === 0 ? '' : `, ${count} endpoints`;
  log.warn({ times }, `${TITLES[kind]} ${times} more times in ${PERIOD / 1000} s${whom}`);
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
        'a socket is ready and gives nothing but an error, again and again: it is asked ten times a second until that ends; look whether a seccomp filter or a security module forbids the call, or the kernel lacks it',
      );
      break;
    }
    case 'portsShort': {
      const { endpoint, ports } = event;
      log.warn(
        { endpoint, ports },
        'local UDP ports towards the endpoint are nearly used up: look-ups that have their answer are forgotten early; widen net.ipv4.ip_local_port_range',
      );
      break;
    }
    case 'hopsUsedUp': {
      const { portal, client } = event;
      log.warn(
        { portal, client },
        'a client was not served: its traffic has gone through as many hops as it may, most likely round in a circle; look for an endpoint of this Service that leads back to it, through another node, a NodePort, a proxy or a rule',
      );
      break;
    }
    case 'clientLimited':
      log.warn(
        { client: event.client, limit },
        'descriptors are nearly used up, and this client has the most connections: new ones of it wait or are refused, and idle ones end where other clients need them; raise the hard limit of open files (LimitNOFILE)',
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
