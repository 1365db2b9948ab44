import { type FlowIndex, NO_FLOW } from './flowkeys.js';

/** How far a flow has come, as conntrack tells UDP flows apart, or that the kernel carries it. */
export enum Stage {
  /** No reply yet. */
  Unreplied,
  /** It had a reply. Most look-ups end in this stage. */
  Answered,
  /** It had a reply, and has lasted longer than {@link STREAM_AFTER_MS}. */
  Stream,
  /** The kernel has taken it over from this relay, and may give it back. It has a socket. */
  Hot,
}

export const STAGES: readonly Stage[] = [Stage.Unreplied, Stage.Answered, Stage.Stream, Stage.Hot];

/** An answered flow that lasts longer is a stream. The value is Linux's (nf_conntrack_proto_udp.c). */
const STREAM_AFTER_MS = 2000;
/** Unreplied flows may be this share of all flows. Beyond it, a new flow takes the place of one of them. */
const UNREPLIED_SHARE = 0.25;

/**
 * Keeps the flows of each stage in the order of their last use, and names the flow that should end first if a
 * new one needs its place.
 */
export class FlowStages {
  /** By flow: when it last carried a datagram, ms of the loop's clock. */
  readonly lastUsed: Float64Array;
  readonly #openedAt: Float64Array;
  readonly #stage: Uint8Array;
  /** By flow: its neighbours in the order of its stage. `previous` was used later, `next` earlier. */
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** By stage: the most and the least recently used flow. */
  readonly #newest = STAGES.map(() => NO_FLOW);
  readonly #oldest = STAGES.map(() => NO_FLOW);
  readonly #counts = STAGES.map(() => 0);
  #size = 0;

  /** @param capacity limit of flows; all indexes are below it */
  constructor(capacity: number) {
    this.lastUsed = new Float64Array(capacity);
    this.#openedAt = new Float64Array(capacity);
    this.#stage = new Uint8Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
  }

  /** How many flows there are. */
  get size(): number {
    return this.#size;
  }

  add(flow: FlowIndex, now: number): void {
    this.#stage[flow] = Stage.Unreplied;
    this.#openedAt[flow] = now;
    this.lastUsed[flow] = now;
    this.#link(flow);
    this.#size++;
  }

  remove(flow: FlowIndex): void {
    this.#unlink(flow);
    this.#size--;
  }

  /** The flow carried a datagram: it is now the most recently used one of its stage. */
  touch(flow: FlowIndex, now: number): void {
    this.lastUsed[flow] = now;
    const stage = this.#stage[flow];
    if (stage === Stage.Answered && now - this.#openedAt[flow] > STREAM_AFTER_MS)
      this.#enter(flow, Stage.Stream);
    else if (this.#newest[stage] !== flow) this.#enter(flow, stage);
  }

  /** The flow had a reply. */
  markReplied(flow: FlowIndex): void {
    if (this.#stage[flow] === Stage.Unreplied) this.#enter(flow, Stage.Answered);
  }

  setStage(flow: FlowIndex, stage: Stage): void {
    this.#enter(flow, stage);
  }

  stageOf(flow: FlowIndex): Stage {
    return this.#stage[flow];
  }

  /** The least recently used flow of a stage, or NO_FLOW. */
  oldest(stage: Stage): FlowIndex {
    return this.#oldest[stage];
  }

  /**
   * The flow of this relay that should end first, or NO_FLOW: an unreplied one if they are more than their
   * share (a flood of spoofed sources), else an answered one, else a stream, else a hot one, else an
   * unreplied one. It is the least recently used flow of its stage.
   */
  victim(): FlowIndex {
    const unreplied = this.#oldest[Stage.Unreplied];
    if (this.#counts[Stage.Unreplied] > this.#size * UNREPLIED_SHARE) return unreplied;
    const answered = this.#oldest[Stage.Answered];
    if (answered !== NO_FLOW) return answered;
    const stream = this.#oldest[Stage.Stream];
    if (stream !== NO_FLOW) return stream;
    const hot = this.#oldest[Stage.Hot];
    return hot === NO_FLOW ? unreplied : hot;
  }

  /** Makes the flow the most recently used one of a stage. */
  #enter(flow: FlowIndex, stage: Stage): void {
    this.#unlink(flow);
    this.#stage[flow] = stage;
    this.#link(flow);
  }

  #link(flow: FlowIndex): void {
    const stage = this.#stage[flow];
    const newest = this.#newest[stage];
    this.#next[flow] = newest;
    this.#previous[flow] = NO_FLOW;
    if (newest === NO_FLOW) this.#oldest[stage] = flow;
    else this.#previous[newest] = flow;
    this.#newest[stage] = flow;
    this.#counts[stage]++;
  }

  #unlink(flow: FlowIndex): void {
    const stage = this.#stage[flow];
    const previous = this.#previous[flow];
    const next = this.#next[flow];
    if (previous === NO_FLOW) this.#newest[stage] = next;
    else this.#next[previous] = next;
    if (next === NO_FLOW) this.#oldest[stage] = previous;
    else this.#previous[next] = previous;
    this.#counts[stage]--;
  }
}
