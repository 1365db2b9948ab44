import type { Socket } from 'node:dgram';
import { setReceiveBuffer } from '../../lib/sys/socket.js';

/** Gives a bound socket a receive buffer beyond `net.core.rmem_max`, which dgram cannot. */
export function growReceiveBuffer(socket: Socket, bytes: number): void {
  const { _handle } = socket as unknown as { readonly _handle: { readonly fd: number } };
  setReceiveBuffer(_handle.fd, bytes);
}
