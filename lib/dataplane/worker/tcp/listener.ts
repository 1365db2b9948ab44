import { AF_INET, AF_INET6 } from '../../../sys/constants.js';
import { EAGAIN, ECONNABORTED, EINTR, EMFILE, errno } from '../../../sys/errno.js';
import { receivedHops } from '../../../sys/hoplimit.js';
import { SocketAddress } from '../../../sys/sockaddr.js';
import { accept, closeSocket, originalDestinationPort, resetOnClose } from '../../../sys/socket.js';
import { FIELD } from '../../shared/counters.js';
import { clientKey } from '../clientkey.js';
import { hopsOnward } from '../hops.js';
import type { Watcher } from '../loop.js';
import type { ServedPortal } from '../servedportal.js';
import type { Acceptor } from './acceptor.js';

const ACCEPTS_PER_EVENT = 32;
/**
 * Errors of accept that pass. After any other error, the next accept would fail at once in the same way.
 */
const PASSING: ReadonlySet<number> = new Set([EAGAIN, ECONNABORTED, EINTR]);

/** One listening socket of a portal. */
export class TcpListener implements Watcher {
  /** Each accept overwrites it. */
  static readonly #peer = new SocketAddress();
  static readonly #destination = new SocketAddress();

  constructor(
    readonly acceptor: Acceptor,
    readonly fd: number,
    readonly portal: ServedPortal,
    readonly redirectedPort: number | null,
  ) {}

  get owner(): string {
    return this.portal.key;
  }

  onReady(): number {
    for (let i = 0; i < ACCEPTS_PER_EVENT; i++) {
      const code = this.#acceptOne();
      // The other errors pause the listener: it is not watched any more.
      if (code !== 0) return i === 0 && PASSING.has(code) ? code : 0;
    }
    return 0;
  }

  close(): void {
    this.acceptor.close(this);
  }

  acceptAll(): void {
    while (this.#acceptOne() === 0);
  }

  /** @returns 0 if there may be another connection, else the errno */
  #acceptOne(): number {
    if (!this.acceptor.reserve()) {
      this.acceptor.pause(this, EMFILE);
      return EMFILE;
    }
    const fd = accept(this.fd, TcpListener.#peer);
    if (fd < 0) {
      const code = errno();
      this.acceptor.unreserve();
      if (!PASSING.has(code)) this.acceptor.pause(this, code);
      return code;
    }
    const portal = this.portal.forClient(TcpListener.#peer.memory.words, 0);
    if (portal === null || this.#isDirect(fd)) this.#refuse(fd);
    else this.#begin(fd, portal);
    return 0;
  }

  #begin(fd: number, portal: ServedPortal): void {
    const peer = TcpListener.#peer;
    const hops = hopsOnward(receivedHops(fd, peer.family));
    if (hops === 0) {
      this.acceptor.report({ kind: 'hopsUsedUp', portal: portal.key, client: peer.address });
      this.#refuse(fd);
      return;
    }
    const { words } = peer.memory;
    const client = clientKey(words, 0);
    const pinKey = portal.balancer.keyOf(words, 0, null);
    if (!this.acceptor.receive({ fd, portal, client, pinKey, hops })) this.#refuse(fd);
  }

  /** Whether the client has connected to the proxy port itself: then conntrack knows no other destination. */
  #isDirect(fd: number): boolean {
    if (this.redirectedPort === null) return false;
    const family = this.portal.isV6 ? AF_INET6 : AF_INET;
    const port = originalDestinationPort(fd, family, TcpListener.#destination);
    return port === 0 || port === this.redirectedPort;
  }

  #refuse(fd: number): void {
    this.acceptor.unreserve();
    this.portal.count(FIELD.connectionsRefused, 1);
    resetOnClose(fd);
    closeSocket(fd);
  }
}
