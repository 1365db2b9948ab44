import { type FlowIndex, NO_FLOW } from './flowkeys.js';

/** What a flow has come to, as conntrack tells UDP flows apart. The order is that of their value. */
export enum Stage {
  /** Nothing has come back yet. */
  Unreplied,
  /** It had an answer: most look-ups never come to more. */
  Answered,
  /** It had an answer, and went on for more than {@link STREAM_AFTER}. */
  Stream,
}

export const STAGES: readonly Stage[] = [Stage.Unreplied, Stage.Answered, Stage.Stream];

/** How long, ms, an answered flow must last to be a stream: Linux's own value (nf_conntrack_proto_udp.c). */
const STREAM_AFTER = 2000;
/** Flows without a reply may be this share of all; beyond it they push out each other. */
const UNREPLIED_SHARE = 0.25;

/**
 * The order in which the flows of each stage were used: which is idle for longest, and which is the first to
 * give up.
 */
export class FlowStages {
  /** By flow: when it last carried something, ms of the loop's clock. */
  readonly lastUsed: Float64Array;
  readonly #openedAt: Float64Array;
  readonly #stage: Uint8Array;
  /** By flow: the next more and the next less recently used one of its stage. */
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** Most and least recently used of each stage. */
  readonly #newest = STAGES.map(() => NO_FLOW);
  readonly #oldest = STAGES.map(() => NO_FLOW);
  readonly #counts = STAGES.map(() => 0);
  #size = 0;

  /** @param capacity most flows; their indexes are below it */
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

  /** The flow carried something: it is now the last to go. */
  touch(flow: FlowIndex, now: number): void {
    this.lastUsed[flow] = now;
    const stage = this.#stage[flow];
    if (stage === Stage.Answered && now - this.#openedAt[flow] > STREAM_AFTER)
      this.#enter(flow, Stage.Stream);
    else if (this.#newest[stage] !== flow) this.#enter(flow, stage);
  }

  /** The flow had a reply. */
  markReplied(flow: FlowIndex): void {
    if (this.#stage[flow] === Stage.Unreplied) this.#enter(flow, Stage.Answered);
  }

  stageOf(flow: FlowIndex): Stage {
    return this.#stage[flow];
  }

  /** The least recently used flow of a stage, or NO_FLOW. */
  oldest(stage: Stage): FlowIndex {
    return this.#oldest[stage];
  }

  /**
   * The flow to give up first, or NO_FLOW. Those that have their answer go before those that wait for one, of
   * which a few are always under way, and these before streams; but a flood of spoofed sources pushes out its
   * own kind.
   */
  victim(): FlowIndex {
    const unreplied = this.#oldest[Stage.Unreplied];
    if (this.#counts[Stage.Unreplied] > this.#size * UNREPLIED_SHARE) return unreplied;
    const answered = this.#oldest[Stage.Answered];
    if (answered !== NO_FLOW) return answered;
    const stream = this.#oldest[Stage.Stream];
    return stream === NO_FLOW ? unreplied : stream;
  }

  /** The newest of a stage. */
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
