import { localAddress } from '../../../sys/socket.js';
import type { Watcher } from '../loop.js';
import type { ServedPortal } from '../servedportal.js';
import type { ListeningSocket, UdpFlow } from './flow.js';
import { ListenerVips } from './kernel/clientvip.js';
import type { UdpRelay } from './relay.js';

/** One bound socket of a UDP portal. */
export class UdpListener implements Watcher, ListeningSocket {
  readonly flows = new Set<UdpFlow>();
  readonly vips = new ListenerVips();

  readonly port: number;
  readonly isRedirected: boolean;

  /** @param redirectedPort see WorkerListener */
  constructor(
    readonly relay: UdpRelay,
    readonly fd: number,
    readonly portal: ServedPortal,
    redirectedPort: number | null,
  ) {
    this.port = redirectedPort ?? localAddress(fd).port;
    this.isRedirected = redirectedPort !== null;
  }

  get owner(): string {
    return this.portal.key;
  }

  onReady(): number {
    return this.relay.receive(this);
  }

  /** Tells the listener that the portal's admission changed. */
  admissionChanged(): void {
    this.relay.admissionChanged(this);
  }

  /** The portal speaks RTPS, and its endpoints changed. */
  endpointsChanged(): void {
    this.relay.endpointsChanged(this);
  }

  close(): void {
    this.relay.close(this);
  }
}
