import { AF_INET } from '../../../../sys/constants.js';
import { DatagramSender } from '../../../../sys/datagramsender.js';
import { ECONNREFUSED, EMSGSIZE } from '../../../../sys/errno.js';
import { ErrorQueue } from '../../../../sys/errorqueue.js';
import type { Memory } from '../../../../sys/memory.js';
import { localAddress } from '../../../../sys/socket.js';
import { Blame, blameForConnect } from '../../blame.js';
import type { Target } from '../../target.js';
import type { UdpFlow } from '../flow.js';
import { type Inbox, RING_SLOTS } from '../inbox.js';
import type { EndpointSocket } from './endpointsocket.js';

/** What the errors of a flow's socket say about the endpoint. In ascending order of weight. */
export enum Verdict {
  /** Nothing about the endpoint. */
  Nothing,
  /** It may be gone: an ICMP error says so, but does not prove it. */
  Suspected,
  /** It is gone: an ICMP error from the path to it says so. */
  Refused,
  /** This node itself cannot reach it. */
  Unreachable,
}

/**
 * Reads the error queue of a flow's socket, and judges which errors to believe. Anybody who can send raw
 * packets can forge an ICMP error, and Linux passes on each error that names the right addresses and ports.
 * So:
 *
 * - An error of this node itself is true. With IPv4, nobody outside can use this node's addresses
 *   (ip_route_input_slow: martian source).
 * - If a host other than the endpoint says that the endpoint's port is closed, the error means nothing.
 * - An error that quotes the datagram comes from the path to the endpoint, so it is a proof. Linux and
 *   routers quote 500 bytes and more.
 * - Any other error is a suspicion.
 */
export class ErrorJudge {
  readonly #errors = new ErrorQueue();
  /** How many errors the last call has read. */
  count = 0;
  /** The errno behind the last verdict, for the log. */
  code = 0;
  /** Datagrams that were too long for the path. The kernel knows the MTU now: sent again, they fit. */
  readonly tooLong = new DatagramSender(RING_SLOTS);

  constructor(readonly inbox: Inbox) {}

  /** Reads all errors of a socket. @returns the weightiest verdict */
  judge(socket: EndpointSocket): Verdict {
    let weightiest = Verdict.Nothing;
    this.count = 0;
    this.tooLong.clear();
    while (this.#errors.read(socket.fd)) {
      this.count++;
      const verdict = this.#judgeOne(socket.fd, socket.flow, socket.target);
      if (verdict <= weightiest) continue;
      weightiest = verdict;
      this.code = this.#errors.code;
    }
    return weightiest;
  }

  /**
   * Reads all errors of a socket that serves a flow with many endpoints.
   * @param targetAt finds the endpoint of a sockaddr
   * @param judged takes each verdict. Meanwhile {@link tooLong} has the datagrams for this endpoint
   * @returns how many errors there were
   */
  judgeEach(
    fd: number,
    flow: UdpFlow,
    targetAt: (sockaddr: Memory) => Target | null,
    judged: (target: Target, verdict: Verdict) => void,
  ): number {
    this.count = 0;
    while (this.#errors.read(fd)) {
      this.count++;
      const target = targetAt(this.#errors.destination);
      if (target === null) continue;
      this.tooLong.clear();
      this.code = this.#errors.code;
      judged(target, this.#judgeOne(fd, flow, target));
    }
    return this.count;
  }

  #judgeOne(fd: number, flow: UdpFlow, { address }: Target): Verdict {
    const { code, isLocal, quote } = this.#errors;
    if (code === EMSGSIZE && !isLocal) this.inbox.collectQuoted(flow, quote, this.tooLong);
    if (blameForConnect(code) !== Blame.Endpoint) return Verdict.Nothing;
    if (isLocal || this.#isFromThisNode(fd, address.family)) return Verdict.Unreachable;
    if (code === ECONNREFUSED && !this.#errors.isFrom(address.memory)) return Verdict.Nothing;
    const isProof = flow.hasAsked(quote) || this.inbox.isQuoteOf(flow, quote);
    return isProof ? Verdict.Refused : Verdict.Suspected;
  }

  #isFromThisNode(fd: number, family: number): boolean {
    return family === AF_INET && this.#errors.isFrom(localAddress(fd).memory);
  }
}
