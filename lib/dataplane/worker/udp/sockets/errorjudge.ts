import { AF_INET } from '../../../../sys/constants.js';
import { DatagramSender } from '../../../../sys/datagramsender.js';
import { ECONNREFUSED, EMSGSIZE } from '../../../../sys/errno.js';
import { ErrorQueue } from '../../../../sys/errorqueue.js';
import { localAddress } from '../../../../sys/socket.js';
import { Blame, blameForConnect } from '../../blame.js';
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
      const verdict = this.#judgeOne(socket);
      if (verdict <= weightiest) continue;
      weightiest = verdict;
      this.code = this.#errors.code;
    }
    return weightiest;
  }

  #judgeOne(socket: EndpointSocket): Verdict {
    const { code, isLocal, quote } = this.#errors;
    if (code === EMSGSIZE && !isLocal) this.inbox.collectQuoted(socket.flow, quote, this.tooLong);
    if (blameForConnect(code) !== Blame.Endpoint) return Verdict.Nothing;
    if (isLocal || this.#isFromThisNode(socket)) return Verdict.Unreachable;
    const isFromEndpoint = this.#errors.isFrom(socket.target.address.memory);
    if (code === ECONNREFUSED && !isFromEndpoint) return Verdict.Nothing;
    return this.inbox.isQuoteOf(socket.flow, quote) ? Verdict.Refused : Verdict.Suspected;
  }

  #isFromThisNode({ fd, target }: EndpointSocket): boolean {
    return target.address.family === AF_INET && this.#errors.isFrom(localAddress(fd).memory);
  }
}
