import type { Logger } from 'pino';
import type { DataplaneEvent } from '../dataplane/messages.js';

/** What an error of this node's own means, and what to do. */
const NODE_FAILURES: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'no local port is left towards the endpoint; widen net.ipv4.ip_local_port_range',
  EAGAIN: 'no local port is left; widen net.ipv4.ip_local_port_range',
  ENFILE: 'all programs together have used up the open files; raise fs.file-max',
  ENOBUFS: 'the kernel has no memory for another socket',
  ENOMEM: 'the kernel has no memory for another socket',
};

/** Writes what happened in a worker for an operator to read. @param limit of open files */
export function logEvent(log: Logger, event: DataplaneEvent, limit: number): void {
  switch (event.kind) {
    case 'endpointFailed': {
      const { portal, endpoint, reason } = event;
      log.warn({ portal, endpoint, reason }, 'endpoint failed; its clients move to another');
      break;
    }
    case 'nodeFailed': {
      const { portal, endpoint, reason } = event;
      const cause = NODE_FAILURES[reason] ?? 'this node failed, not the endpoint';
      log.warn({ portal, endpoint, reason }, `a client was not served: ${cause}`);
      break;
    }
    case 'portsShort': {
      const { endpoint, used, size } = event;
      log.warn(
        { endpoint, used, size },
        'local UDP ports towards the endpoint are nearly used up: look-ups that have their answer are forgotten early; widen net.ipv4.ip_local_port_range',
      );
      break;
    }
    case 'descriptorsOut':
      log.warn(
        { limit },
        'descriptors are used up: new connections wait; raise the hard limit of open files (LimitNOFILE)',
      );
      break;
  }
}
