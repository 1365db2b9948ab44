import { addressBytes } from '../net/address.js';
import { EADDRNOTAVAIL, SysError } from '../sys/errno.js';
import { listenDatagram } from '../sys/listening.js';
import { closeSocket } from '../sys/socket.js';
import { RedirectError } from './driver.js';

/**
 * Makes sure that packets can be redirected to where proxy ports listen. The kernel drops what comes from a
 * link and is then sent to a loopback address, while the node's own programs get there all the same:
 * nobody would notice at first.
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

/** Bytes; nobody will send there. */
const BUFFER_SIZE = 4096;
const ADVICE =
  'give an address of one of its network interfaces, leave the flag out for all of them, or use --redirect=address';

function isLoopback(bytes: readonly number[]): boolean {
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** Also true of a link that is down or has no cable. */
function isOfThisNode(address: string): boolean {
  try {
    closeSocket(listenDatagram({ address, port: 0, sharing: 'nobody', freeBind: false }, BUFFER_SIZE));
    return true;
  } catch (error) {
    if (error instanceof SysError && error.code === EADDRNOTAVAIL) return false;
    throw error;
  }
}
