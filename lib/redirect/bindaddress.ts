import { addressBytes } from '../net/address.js';
import { EADDRNOTAVAIL, SysError } from '../sys/errno.js';
import { listenDatagram } from '../sys/listening.js';
import { closeSocket } from '../sys/socket.js';
import { RedirectError } from './driver.js';

/**
 * Checks that packets can be redirected to the addresses where proxy ports listen. The kernel drops a packet
 * that comes from a link and is redirected to a loopback address. Packets of the node's own programs arrive,
 * so the mistake would show late.
 * @throws RedirectError that names the flag
 */
export function requireReachable(addresses: Readonly<Record<'IPv4' | 'IPv6', string>>): void {
  for (const address of [addresses.IPv4, addresses.IPv6]) {
    const bytes = addressBytes(address);
    if (bytes.every((byte) => byte === 0)) continue;
    if (isLoopback(bytes)) {
      throw new RedirectError(
        `--bind-address ${address} (bindAddress in a --config file): iptables cannot bring clients from pods and other hosts to a loopback address; ${ADVICE}`,
      );
    }
    if (!isOfThisNode(address)) {
      throw new RedirectError(
        `--bind-address ${address} (bindAddress in a --config file): this node has no such address; ${ADVICE}`,
      );
    }
  }
}

/** Bytes. No datagram will arrive. */
const BUFFER_SIZE = 4096;
const ADVICE =
  'give an address of one of its network interfaces, leave the flag out for all of them, or use --redirect=address';

function isLoopback(bytes: readonly number[]): boolean {
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** Also true for an address of a link that is down. */
function isOfThisNode(address: string): boolean {
  try {
    closeSocket(listenDatagram({ address, port: 0, sharing: 'nobody', freeBind: false }, BUFFER_SIZE));
    return true;
  } catch (error) {
    if (error instanceof SysError && error.code === EADDRNOTAVAIL) return false;
    throw error;
  }
}
