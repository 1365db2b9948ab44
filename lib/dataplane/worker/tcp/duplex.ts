import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from '../../../sys/constants.js';
import { setNoDelay } from '../../../sys/socket.js';
import { Progress, Stream, type StreamResources } from './stream.js';

const SOURCE_READY = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
const SINK_READY = EPOLLOUT | EPOLLHUP | EPOLLERR;
const END_NEAR = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/** A client's connection and an endpoint's, joined by a {@link Stream} in each direction. */
export class Duplex {
  readonly #toEndpoint: Stream;
  readonly #toClient: Stream;
  /** Whether one side was reset or timed out. */
  #isBroken = false;
  #hasNoDelay = false;

  /** @param events that epoll has reported for the endpoint's descriptor */
  constructor(
    resources: StreamResources,
    readonly clientFd: number,
    readonly endpointFd: number,
    events: number,
  ) {
    this.#toEndpoint = new Stream(resources, clientFd, endpointFd);
    this.#toClient = new Stream(resources, endpointFd, clientFd);
    this.#toClient.isReadable = (events & SOURCE_READY) !== 0;
    this.#toClient.hasSourceSentEnd = (events & END_NEAR) !== 0;
    this.#toClient.hasUrgent = (events & EPOLLPRI) !== 0;
    // Most clients send first, so their data is already here. To read at once saves a turn of the loop.
    this.#toEndpoint.isReadable = true;
  }

  /** Bytes from the client since the last call. */
  takeBytesIn(): number {
    return takeMoved(this.#toEndpoint);
  }

  /** Bytes to the client since the last call. */
  takeBytesOut(): number {
    return takeMoved(this.#toClient);
  }

  /** Whether this side has ended the connection to the endpoint before the endpoint did. */
  get hasEndedFirst(): boolean {
    return this.#toEndpoint.hasFinishedFirst;
  }

  /** Notes the events that epoll reported for one of the two descriptors. */
  note(fd: number, events: number): void {
    const isClient = fd === this.clientFd;
    const out = isClient ? this.#toEndpoint : this.#toClient;
    const back = isClient ? this.#toClient : this.#toEndpoint;
    if (events & SOURCE_READY) out.isReadable = true;
    if (events & END_NEAR) out.hasSourceSentEnd = true;
    if (events & EPOLLPRI) out.hasUrgent = true;
    if (events & SINK_READY) back.isWritable = true;
    // A read does not show this error if its direction has ended, or waits until the other side takes data.
    if (events & EPOLLERR) this.#breakOff();
  }

  /**
   * Moves data both ways, in bounded time.
   * @returns Finished if both directions have ended, Broken if the connection broke
   */
  pump(): Progress {
    const out = this.#toEndpoint.pump();
    this.#toClient.isOtherFinished = this.#toEndpoint.isFinished;
    const back = this.#toClient.pump();
    this.#toEndpoint.isOtherFinished = this.#toClient.isFinished;
    if (!this.#isBroken && (out === Progress.Broken || back === Progress.Broken)) {
      this.#breakOff();
      return Progress.Unfinished;
    }
    if (out === Progress.Unfinished || back === Progress.Unfinished) return Progress.Unfinished;
    if (this.#isBroken) return Progress.Broken;
    if (out === Progress.Finished && back === Progress.Finished) return Progress.Finished;
    this.#turnNagleOff();
    return Progress.Waiting;
  }

  /** Gives back pipes and pending data. The caller closes the descriptors. */
  release(): void {
    this.#toEndpoint.release();
    this.#toClient.release();
  }

  /**
   * One side was reset. Its last data may still be in its socket: an endpoint that answers and closes without
   * reading everything resets too. The other side gets what it takes at once, and then the reset.
   */
  #breakOff(): void {
    this.#isBroken = true;
    for (const stream of [this.#toEndpoint, this.#toClient]) {
      stream.isCutOff = true;
      stream.isReadable = true;
    }
  }

  /**
   * Turns Nagle's algorithm off after the second write. That sends what the algorithm has held back (tcp(7)).
   * It never holds back a first write, so a short connection saves the system call.
   */
  #turnNagleOff(): void {
    if (this.#hasNoDelay || this.#toEndpoint.writes < 2) return;
    this.#hasNoDelay = true;
    setNoDelay(this.endpointFd);
  }
}

function takeMoved(stream: Stream): number {
  const { moved } = stream;
  stream.moved = 0;
  return moved;
}
