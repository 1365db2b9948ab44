import { isRtps, SOURCE_PREFIX_AT } from '../../../rtps/message.js';
import { CONTROL_WORDS } from '../../../sys/controlmessages.js';
import { type DatagramRing, NAME_WORDS } from '../../../sys/datagrams.js';
import type { FirstDatagram } from '../pinkey.js';
import type { DatagramHead } from './flowkeys.js';

/** One datagram in the ring. One object serves for all of them, so that datagrams make no garbage. */
export class ReceivedDatagram implements DatagramHead, FirstDatagram {
  readonly names: Int32Array;
  readonly controls: Int32Array;
  readonly payloads: Int32Array;
  readonly #ring: DatagramRing;
  slot = 0;
  prefixWords = 0;

  constructor(ring: DatagramRing) {
    this.#ring = ring;
    this.names = ring.nameWords;
    this.controls = ring.controlWords;
    this.payloads = ring.payloads.words;
  }

  get nameAt(): number {
    return this.slot * NAME_WORDS;
  }

  get controlAt(): number {
    return this.slot * CONTROL_WORDS;
  }

  get prefixAt(): number {
    return (this.#ring.startOf(this.slot) + SOURCE_PREFIX_AT) / 4;
  }

  get payload(): Uint8Array {
    return this.#ring.payload(this.slot);
  }

  /**
   * Sets how many bytes of the sender's GUID prefix are part of the flow's key. A datagram that is not RTPS
   * has no prefix.
   * @param bytes as the Service's pins need, a multiple of 4
   */
  tellApartBy(bytes: number): void {
    this.prefixWords = bytes > 0 && this.#isRtps ? bytes / 4 : 0;
  }

  get #isRtps(): boolean {
    const start = this.#ring.startOf(this.slot);
    return isRtps(this.#ring.payloads.bytes, start, start + this.#ring.length(this.slot));
  }
}
