import { DatagramRing } from '../datagrams.js';
import { EAGAIN, ENOENT, EPERM, errno } from '../errno.js';
import { NLMSG_ERROR } from './messages.js';

/** Bytes: struct nlmsghdr, the errno, and the header of the request. What follows is cut off. */
const SIZE = 36;
/** Words of struct nlmsghdr, and of struct nlmsgerr behind it. */
const TYPE_WORD = 1;
export const SEQUENCE_WORD = 2;
const ERROR_WORD = 4;

const COMMIT_SHIFT = 16;
const POSITION_MASK = 2 ** COMMIT_SHIFT - 1;

/**
 * A sequence number has the number of the commit in its upper half and the position in its lower half, so
 * that a late answer is not taken for one to a later commit.
 */
export function sequenceOf(commit: number, position: number): number {
  return (commit << COMMIT_SHIFT) | position;
}

/** The position in a sequence number; null if it is one of another commit. */
export function positionOf(sequence: number, commit: number): number | null {
  return sequence >>> COMMIT_SHIFT === commit ? sequence & POSITION_MASK : null;
}

/** The next commit's number: 16 bits. */
export function commitAfter(commit: number): number {
  return (commit + 1) & (2 ** (32 - COMMIT_SHIFT) - 1);
}

/**
 * Reads the errors with which the kernel answers requests that ask for no acknowledgement. It reads them in
 * place and allocates nothing.
 */
export class Acknowledgements {
  readonly #ring: DatagramRing;
  readonly #fd: number;

  /** @param slots how many are received with one call */
  constructor(fd: number, slots: number) {
    this.#fd = fd;
    this.#ring = new DatagramRing(slots, false, SIZE);
  }

  /**
   * Reads all answers that are there: the kernel answers within the sending call. ENOENT is no error.
   * @param codes gets the errno of each position that has failed
   * @returns 0, or the errno of the whole commit: ENOBUFS if answers were lost, EPERM without CAP_NET_ADMIN
   */
  read(commit: number, codes: Int32Array): number {
    const ring = this.#ring;
    for (;;) {
      ring.next = 0;
      const received = ring.receive(this.#fd, ring.slots);
      if (received < 0) return errno() === EAGAIN ? 0 : errno();
      for (let slot = 0; slot < received; slot++) {
        // The kernel answers EPERM once, to the first message, and reads none of the others (nfnetlink_rcv).
        if (this.#readOne(ring.startOf(slot) / 4, commit, codes) === EPERM) return EPERM;
      }
      if (received < ring.slots) return 0;
    }
  }

  #readOne(at: number, commit: number, codes: Int32Array): number {
    const { words } = this.#ring.payloads;
    const position = positionOf(words[at + SEQUENCE_WORD], commit);
    if (position === null || (words[at + TYPE_WORD] & 0xffff) !== NLMSG_ERROR) return 0;
    const code = -words[at + ERROR_WORD];
    if (code !== ENOENT) codes[position] = code;
    return code;
  }
}
