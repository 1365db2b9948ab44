import { addressBytes } from '../net/address.js';
import { IPPROTO_TCP, IPPROTO_UDP } from './constants.js';
import { attachLookup, KernelSet } from './ebpf.js';
import * as libc from './libc.js';
import { KEY_SIZE, PORT_WORD, programFor } from './vipgateprogram.js';

/** Addresses and places together; more than 30,000 Services no node has. */
const CAPACITY = 65_536;

const PROTOCOLS = { TCP: IPPROTO_TCP, UDP: IPPROTO_UDP } as const;

/** A port of an address. */
export interface Place {
  readonly protocol: keyof typeof PROTOCOLS;
  readonly address: string;
  readonly port: number;
}

/**
 * Keeps clients of VIPs that are addresses of the node from its own programs, which listen on all addresses:
 * of a gated address only those ports are heard that were opened. It costs each datagram and each new
 * connection of the node one or two look-ups.
 */
export class VipGate {
  readonly #places: KernelSet;
  readonly #link: number;

  private constructor(places: KernelSet, link: number) {
    this.#places = places;
    this.#link = link;
  }

  /**
   * @throws SysError where the kernel cannot (before Linux 5.9, without CONFIG_BPF_SYSCALL)
   * or may not (CAP_BPF, CAP_NET_ADMIN)
   */
  static open(): VipGate {
    const places = new KernelSet(KEY_SIZE, CAPACITY);
    try {
      return new VipGate(places, attachLookup(programFor(places)));
    } catch (error) {
      places.close();
      throw error;
    }
  }

  /** @throws SysError, E2BIG when there are too many */
  gate(address: string): void {
    this.#places.add(keyOf(address, 0));
  }

  /** The address is heard at all ports again. */
  ungate(address: string): void {
    this.#places.delete(keyOf(address, 0));
  }

  /** @throws SysError, E2BIG when there are too many */
  openPort(place: Place): void {
    this.#places.add(placeKey(place));
  }

  closePort(place: Place): void {
    this.#places.delete(placeKey(place));
  }

  close(): void {
    libc.close(this.#link);
    this.#places.close();
  }
}

function placeKey({ protocol, address, port }: Place): Uint8Array {
  return keyOf(address, PROTOCOLS[protocol] * 65_536 + port);
}

function keyOf(address: string, portWord: number): Uint8Array {
  const key = new Uint8Array(KEY_SIZE);
  const bytes = addressBytes(address);
  if (bytes.length === 4) key.set([0xff, 0xff], 10);
  key.set(bytes, 16 - bytes.length);
  new DataView(key.buffer).setUint32(PORT_WORD, portWord, true);
  return key;
}
