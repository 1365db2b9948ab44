import { checked, EADDRINUSE, errno } from '../../lib/sys/errno.js';
import * as libc from '../../lib/sys/libc.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';

const FIRST_PORT = 10_000;
const PORTS = 55_000;

/**
 * Where flows come from: all ports of some addresses, in turn. So a flow is new to the connection tracking,
 * which remembers a flow for 30 s after its end. With the ports that the kernel chooses, a third of the flows
 * were not.
 */
export class Sources {
  readonly #addresses: readonly SocketAddress[];
  #next: number;

  /** @param first position of the first source. By chance by default, because another run came before. */
  constructor(addresses: readonly string[], first = Math.floor(Math.random() * addresses.length * PORTS)) {
    this.#addresses = addresses.map((address) => SocketAddress.of(address, 0));
    this.#next = first;
  }

  /** The next source. It is overwritten by later calls. */
  next(): SocketAddress {
    const position = this.#next++ % (this.#addresses.length * PORTS);
    const source = this.#addresses[Math.floor(position / PORTS)];
    source.memory.view.setUint16(2, FIRST_PORT + (position % PORTS));
    return source;
  }

  /** Binds a socket to the next source that no other socket has. */
  bind(fd: number): void {
    for (;;) {
      const { memory, length } = this.next();
      const result = libc.bindSocket(fd, memory.address, length);
      if (result === 0 || errno() !== EADDRINUSE) {
        checked('bind', result);
        return;
      }
    }
  }
}
