import { MSG_MORE, MSG_NOSIGNAL } from '../../../sys/constants.js';
import { EACCES, EAGAIN, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, errno } from '../../../sys/errno.js';
import type { Pipe } from '../../../sys/pipe.js';
import { shutdownWrite } from '../../../sys/socket.js';
import { StreamBuffer } from '../../../sys/streambuffer.js';
import type { PipePool } from './pipepool.js';

/** Bytes of one read at most. */
const READ_SIZE = 65536;
/** After this many full reads in a row, the stream splices. */
const FULL_READS_BEFORE_SPLICE = 2;
/** Bytes. After a splice that brings less, the stream copies again. */
const SMALL_SPLICE = 16384;
/**
 * Errors of splice if the kernel or a policy does not allow it for sockets (splice(2), seccomp(2)). No
 * connection ends with one of them.
 */
const REFUSALS: ReadonlySet<number> = new Set([ENOSYS, EINVAL, EOPNOTSUPP, EPERM, EACCES]);
/** After this many steps of one direction, other descriptors get their turn. */
const STEPS_PER_TURN = 16;

/** The state of a direction after {@link Stream.pump}. */
export enum Progress {
  /** It waits for an event. */
  Waiting,
  /** It has more data to move, but other descriptors must have their turn first. */
  Unfinished,
  /** It has passed on the end of its data. */
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
 * One direction of a relayed connection. It moves data from source to sink, and passes on the end of the
 * data. While the sink takes nothing, nothing is read from the source.
 *
 * Small data is copied through one shared buffer, and only what the sink has not taken is kept. Bulk data
 * goes through a pipe with splice(2). Both descriptors are watched edge-triggered for all events. So
 * `isReadable` and `isWritable` are all that is known about readiness, and no epoll_ctl is needed while data
 * flows.
 */
export class Stream {
  /** Bytes moved since the owner last set it to 0. */
  moved = 0;
  /** Number of writes, not counted beyond 2. */
  writes = 0;
  isReadable = false;
  isWritable = true;
  /** The source has sent its end: after a short read there is no more data. */
  hasSourceSentEnd = false;
  /** Urgent data has come. A read stops before an urgent byte (tcp(7)), so a short read may leave data. */
  hasUrgent = false;
  /** All data of the source has been read. */
  hasReadEnd = false;
  /** The sink has all data and the end. */
  isFinished = false;
  /** The other direction has finished. */
  isOtherFinished = false;
  /** This direction has finished before the other. */
  hasFinishedFirst = false;
  /** The connection broke: data that is left is still delivered, and then Broken instead of the end. */
  isCutOff = false;
  #pending: Buffer | null = null;
  /** Null while no data is in it, so that an idle stream owns no pipe. */
  #pipe: Pipe | null = null;
  #fullReads = 0;

  constructor(
    readonly resources: StreamResources,
    readonly source: number,
    readonly sink: number,
  ) {}

  /** Moves what can be moved now, in bounded time. */
  pump(): Progress {
    // After the last write the end must follow at once: the kernel holds that data back (MSG_MORE).
    for (let step = 0; step < STEPS_PER_TURN || this.hasReadEnd; step++) {
      if (this.#holdsData() && !this.#flush()) return Progress.Broken;
      if (this.#holdsData()) return Progress.Waiting;
      if (this.hasReadEnd) return this.isCutOff ? Progress.Broken : this.#finish();
      if (!this.isReadable) return Progress.Waiting;
      if (!this.#move()) return Progress.Broken;
    }
    return Progress.Unfinished;
  }

  /** Gives back its pipe and its pending data. The caller closes the descriptors. */
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
      // If the other direction has ended already, the connection is closed next, which sends the end too.
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
   * A short read from a stream socket means that it is empty (epoll(7)). That saves a read for each message.
   */
  #noteEmpty(): void {
    this.isReadable = false;
    this.hasReadEnd = this.hasSourceSentEnd && !this.isCutOff;
  }

  #write(length: number): boolean {
    const { buffer } = this.resources;
    if (this.writes < 2) this.writes++;
    // MSG_MORE: the end follows at once and travels in the same packet. That saves a packet and a wake-up.
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
