import { addressBytes } from '../net/address.js';
import { IPPROTO_TCP, IPPROTO_UDP } from './constants.js';
import { attachSocketLookup, KernelSet } from './ebpf.js';
import * as libc from './libc.js';
import { KEY_SIZE, PORT_OFFSET, programFor } from './vipgateprogram.js';

/** Most addresses and open ports together. It is enough for 30,000 Services; no node has more. */
const CAPACITY = 65_536;

const PROTOCOLS = { TCP: IPPROTO_TCP, UDP: IPPROTO_UDP } as const;

/** A port of an address. */
export interface VipPort {
  readonly protocol: keyof typeof PROTOCOLS;
  readonly address: string;
  readonly port: number;
}

/**
 * For VIPs that are addresses of the node: keeps clients of the VIPs away from the node's own programs that
 * listen on all addresses. A gated address accepts packets on its open ports only. Each datagram and each new
 * connection of the node costs one or two look-ups.
 */
export class VipGate {
  readonly #gateKeys: KernelSet;
  readonly #link: number;

  private constructor(gateKeys: KernelSet, link: number) {
    this.#gateKeys = gateKeys;
    this.#link = link;
  }

  /**
   * @throws SysError if the kernel cannot do it (before Linux 5.9, or without CONFIG_BPF_SYSCALL), or if the
   *   process lacks CAP_BPF or CAP_NET_ADMIN
   */
  static open(): VipGate {
    const gateKeys = new KernelSet(KEY_SIZE, CAPACITY);
    try {
      return new VipGate(gateKeys, attachSocketLookup(programFor(gateKeys)));
    } catch (error) {
      gateKeys.close();
      throw error;
    }
  }

  /** @throws SysError: E2BIG if there are too many */
  gate(address: string): void {
    this.#gateKeys.add(keyOf(address, 0));
  }

  /** All ports of the address accept packets again. */
  ungate(address: string): void {
    this.#gateKeys.delete(keyOf(address, 0));
  }

  /** @throws SysError: E2BIG if there are too many */
  openPort(port: VipPort): void {
    this.#gateKeys.add(portKey(port));
  }

  closePort(port: VipPort): void {
    this.#gateKeys.delete(portKey(port));
  }

  close(): void {
    libc.close(this.#link);
    this.#gateKeys.close();
  }
}

function portKey({ protocol, address, port }: VipPort): Uint8Array {
  return keyOf(address, PROTOCOLS[protocol] * 65_536 + port);
}

function keyOf(address: string, portWord: number): Uint8Array {
  const key = new Uint8Array(KEY_SIZE);
  const bytes = addressBytes(address);
  if (bytes.length === 4) key.set([0xff, 0xff], 10);
  key.set(bytes, 16 - bytes.length);
  new DataView(key.buffer).setUint32(PORT_OFFSET, portWord, true);
  return key;
}
