import { AF_INET } from '../../../../sys/constants.js';
import { DatagramSender } from '../../../../sys/datagramsender.js';
import { ECONNREFUSED, EMSGSIZE } from '../../../../sys/errno.js';
import { ErrorQueue } from '../../../../sys/errorqueue.js';
import { localAddress } from '../../../../sys/socket.js';
import { Blame, blameForConnect } from '../../blame.js';
import { type Inbox, RING_SLOTS } from '../inbox.js';
import type { EndpointSocket } from './endpointsocket.js';

/** What to make of the errors that came back for what a flow has sent. In ascending order of weight. */
export enum Verdict {
  /** Nothing that concerns the endpoint. */
  Nothing,
  /** Somebody says that the endpoint is not there: it is asked again. */
  Suspected,
  /** Who is on the way to it says that it is not there. */
  Refused,
  /** This node itself has no way there. */
  Unreachable,
}

/**
 * Reads the errors that a flow's socket has kept, and finds out whom to believe. Anybody who can send packets
 * of his own making can make an ICMP error, and Linux passes on each that names the right addresses and
 * ports. So:
 *
 * - this node's own word is true: with IPv4 its addresses cannot come in from outside (ip_route_input_slow:
 *   martian source);
 * - who quotes what was sent (Linux and routers quote 500 bytes and more) is on the way to the endpoint;
 * - else it is a suspicion, and nothing at all where a host but the endpoint says that the endpoint's port is
 *   closed.
 */
export class ErrorJudge {
  readonly #errors = new ErrorQueue();
  /** How many errors the socket had that was heard last. */
  count = 0;
  /** The errno behind the last verdict, for the log. */
  code = 0;
  /** What was too long for the path, as the kernel has learned by now: sent again it fits. */
  readonly tooLong = new DatagramSender(RING_SLOTS);

  constructor(readonly inbox: Inbox) {}

  /** Reads all that a socket has. @returns the weightiest */
  judge(socket: EndpointSocket): Verdict {
    let worst = Verdict.Nothing;
    this.count = 0;
    this.tooLong.clear();
    while (this.#errors.read(socket.fd)) {
      this.count++;
      const verdict = this.#judgeOne(socket);
      if (verdict <= worst) continue;
      worst = verdict;
      this.code = this.#errors.code;
    }
    return worst;
  }

  #judgeOne(socket: EndpointSocket): Verdict {
    const { code, isLocal, quote } = this.#errors;
    if (code === EMSGSIZE && !isLocal) this.inbox.collectQuoted(socket.flow, quote, this.tooLong);
    if (blameForConnect(code) !== Blame.Endpoint) return Verdict.Nothing;
    if (isLocal || this.#isFromThisNode(socket)) return Verdict.Unreachable;
    const isFromEndpoint = this.#errors.isFrom(socket.target.address.memory);
    if (code === ECONNREFUSED && !isFromEndpoint) return Verdict.Nothing;
    return this.inbox.hasSent(socket.flow, quote) ? Verdict.Refused : Verdict.Suspected;
  }

  #isFromThisNode({ fd, target }: EndpointSocket): boolean {
    return target.address.family === AF_INET && this.#errors.isFrom(localAddress(fd).memory);
  }
}
