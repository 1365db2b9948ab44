import { addressBytes } from '../net/address.js';
import { attachProgram, BPF_LD_W_ABS, BPF_MOD_K, BPF_RET_A, NET_HEADER } from './bpf.js';
import { AF_INET6, SO_ATTACH_REUSEPORT_CBPF } from './constants.js';

const IPV4_SOURCE = 12;
/** The last word of an IPv6 address: it differs between the hosts of one prefix. */
const IPV6_SOURCE_LOW = 20;

/**
 * Makes the kernel choose the socket of a reuseport group by the client's address, so that one client always
 * gets the same worker, on every port and protocol. `fd` may be any socket of the group. The index of a
 * socket is its position in the order of binding. Needs Linux 4.5 (UDP), 4.6 (TCP).
 * @returns false if the kernel refuses; `errno()` then tells the reason
 */
export function steerByClientAddress(fd: number, family: number, sockets: number): boolean {
  const source = NET_HEADER + (family === AF_INET6 ? IPV6_SOURCE_LOW : IPV4_SOURCE);
  return attachProgram(fd, SO_ATTACH_REUSEPORT_CBPF, [
    { code: BPF_LD_W_ABS, k: source },
    { code: BPF_MOD_K, k: sockets },
    { code: BPF_RET_A, k: 0 },
  ]);
}

/** The position of the socket that {@link steerByClientAddress} chooses for a client. */
export function socketOfClient(address: string, sockets: number): number {
  const low = Uint8Array.from(addressBytes(address).slice(-4));
  return new DataView(low.buffer).getUint32(0) % sockets;
}
