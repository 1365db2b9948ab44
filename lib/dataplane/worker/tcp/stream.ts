import { MSG_MORE, MSG_NOSIGNAL } from '../../../sys/constants.js';
import { EACCES, EAGAIN, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, errno } from '../../../sys/errno.js';
import type { Pipe } from '../../../sys/pipe.js';
import { shutdownWrite } from '../../../sys/socket.js';
import { StreamBuffer } from '../../../sys/streambuffer.js';
import type { PipePool } from './pipepool.js';

/** One read takes at most this much, bytes; two full ones in a row mean bulk. */
const READ_SIZE = 65536;
const FULL_READS_BEFORE_SPLICE = 2;
/** Bytes; a splice that brings less ends bulk mode. */
const SMALL_SPLICE = 16384;
/**
 * What splice says where the kernel or a policy has none for sockets (splice(2), seccomp(2)); no connection
 * ends with one of these.
 */
const REFUSALS: ReadonlySet<number> = new Set([ENOSYS, EINVAL, EOPNOTSUPP, EPERM, EACCES]);
/** Steps one direction may take before the others get their turn. */
const STEPS = 16;

/** What a direction is doing after {@link Stream.pump}. */
export enum Progress {
  /** It waits for an event. */
  Waiting,
  /** There is more to do, but it is someone else's turn. */
  Unfinished,
  /** Its end has been passed on. */
  Finished,
  /** The connection broke. */
  Broken,
}

/** What the streams of one worker share: the read buffer and the pipes. */
export class StreamResources {
  readonly buffer = new StreamBuffer(READ_SIZE);

  constructor(readonly pipes: PipePool) {}
}

/**
 * One direction of a relayed connection: source to sink, with the end of stream, and with back-pressure:
 * nothing is read while the sink takes nothing.
 *
 * Small data is copied through one shared buffer, and only what the sink did not take is kept; bulk data goes
 * through a pipe with splice(2). Both descriptors are registered edge-triggered for everything, so the two
 * flags below are the only state about readiness, and no epoll_ctl is needed while data flows.
 */
export class Stream {
  /** Bytes moved since the owner last looked. */
  moved = 0;
  /** Writes so far, at most two: the owner wants to know when a conversation begins. */
  writes = 0;
  isReadable = false;
  isWritable = true;
  /** The source has sent its end: what a short read leaves is nothing but that. */
  hasSourceSentEnd = false;
  /** A read stops at an urgent byte (tcp(7)): short reads say nothing then. */
  hasUrgent = false;
  hasReadEnd = false;
  isFinished = false;
  /** The other direction has finished. */
  isOtherFinished = false;
  /** It finished before the other direction. */
  hasFinishedFirst = false;
  /** The connection broke: what is left is still delivered, but its end must not look like a regular one. */
  isCutOff = false;
  #pending: Buffer | null = null;
  /** Only while it holds data: between two steps an idle stream owns no descriptors but the connection's. */
  #pipe: Pipe | null = null;
  #fullReads = 0;

  constructor(
    readonly resources: StreamResources,
    readonly source: number,
    readonly sink: number,
  ) {}

  /** Moves what can be moved now, in bounded time. */
  pump(): Progress {
    // An end goes at once: the last data waits in the kernel to leave with it.
    for (let step = 0; step < STEPS || this.hasReadEnd; step++) {
      if (this.#holdsData() && !this.#flush()) return Progress.Broken;
      if (this.#holdsData()) return Progress.Waiting;
      if (this.hasReadEnd) return this.isCutOff ? Progress.Broken : this.#finish();
      if (!this.isReadable) return Progress.Waiting;
      if (!this.#move()) return Progress.Broken;
    }
    return Progress.Unfinished;
  }

  /** Gives back what it holds; the owner closes the descriptors. */
  release(): void {
    this.#pending = null;
    if (this.#pipe !== null) this.resources.pipes.give(this.#pipe);
    this.#pipe = null;
  }

  #holdsData(): boolean {
    return this.#pending !== null || this.#pipe !== null;
  }

  #finish(): Progress {
    if (!this.isFinished) {
      this.isFinished = true;
      this.hasFinishedFirst = !this.isOtherFinished;
      // Closing says the same, and comes next where the other direction has ended already.
      if (this.hasFinishedFirst) shutdownWrite(this.sink);
    }
    return Progress.Finished;
  }

  #move(): boolean {
    const isBulk = this.#fullReads >= FULL_READS_BEFORE_SPLICE;
    const pipe = isBulk ? this.resources.pipes.take() : null;
    return pipe === null ? this.#copy() : this.#splice(pipe);
  }

  #copy(): boolean {
    const length = this.resources.buffer.read(this.source);
    if (length <= 0) return this.#endOrError(length);
    this.#fullReads = length === READ_SIZE ? this.#fullReads + 1 : 0;
    if (length < READ_SIZE && !this.hasUrgent) this.#noteEmpty();
    return this.#write(length);
  }

  /**
   * epoll(7): a short read from a stream socket means that it is empty. One call less at the end, and one a
   * message.
   */
  #noteEmpty(): void {
    this.isReadable = false;
    this.hasReadEnd = this.hasSourceSentEnd && !this.isCutOff;
  }

  #write(length: number): boolean {
    const { buffer } = this.resources;
    if (this.writes < 2) this.writes++;
    // The end that follows at once then travels in the same packet: one less through the stack, and one
    // wake-up less.
    const flags = this.hasReadEnd ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
    const written = buffer.send(this.sink, length, flags);
    if (written === length) {
      this.moved += length;
      return true;
    }
    if (written < 0 && errno() !== EAGAIN) return false;
    const taken = Math.max(written, 0);
    this.moved += taken;
    this.isWritable = false;
    this.#pending = buffer.copy(taken, length);
    return true;
  }

  #flush(): boolean {
    if (!this.isWritable) return true;
    if (this.#pending !== null) return this.#flushPending(this.#pending);
    return this.#pipe === null || this.#drain(this.#pipe);
  }

  #flushPending(pending: Buffer): boolean {
    const written = this.resources.buffer.write(this.sink, pending);
    if (written < 0) return this.#blockedOnSink();
    this.moved += written;
    this.isWritable = written === pending.length;
    this.#pending = this.isWritable ? null : pending.subarray(written);
    return true;
  }

  #splice(pipe: Pipe): boolean {
    const length = pipe.fill(this.source, pipe.capacity);
    if (length <= 0) {
      const isRefused = length < 0 && REFUSALS.has(errno());
      const ok = isRefused ? this.#copyFromNowOn() : this.#endOrError(length);
      this.resources.pipes.give(pipe);
      return ok;
    }
    if (length < SMALL_SPLICE) this.#fullReads = 0;
    this.#pipe = pipe;
    return this.#drain(pipe);
  }

  #copyFromNowOn(): boolean {
    this.resources.pipes.refuse();
    return this.#copy();
  }

  #drain(pipe: Pipe): boolean {
    while (pipe.held > 0) {
      const moved = pipe.drain(this.sink);
      if (moved < 0) return this.#blockedOnSink();
      this.moved += moved;
    }
    this.release();
    return true;
  }

  #blockedOnSink(): boolean {
    this.isWritable = false;
    return errno() === EAGAIN;
  }

  #endOrError(result: number): boolean {
    if (result === 0) {
      this.hasReadEnd = true;
      return true;
    }
    this.isReadable = false;
    return errno() === EAGAIN;
  }
}
