import { portAt } from '../../../sys/sockaddrwords.js';
import { type ClientKey, clientKey } from '../clientkey.js';
import type { OpenSession, SessionHolder } from '../sessionlisting.js';
import type { ListeningSocket, UdpFlow } from './flow.js';
import { type DatagramHead, type FlowIndex, FlowKeys, NO_FLOW } from './flowkeys.js';
import { FlowStages, Stage } from './flowstages.js';
import { ParticipantFlows } from './participantflows.js';

/** The names of the stages in listings. Of carried flows, only the kernel knows which are open. */
const STATES = {
  [Stage.Unreplied]: 'unreplied',
  [Stage.Answered]: 'answered',
  [Stage.Stream]: 'stream',
  [Stage.Hot]: null,
} as const;

/**
 * The flows of one worker. The key of a flow and its place in the order of use are needed for every datagram,
 * so they are in typed arrays, at the flow's index. The rest is in the {@link UdpFlow}.
 */
export class FlowTable implements SessionHolder {
  readonly keys: FlowKeys;
  readonly #stages: FlowStages;
  readonly #ofParticipants = new ParticipantFlows();
  readonly #flows: (UdpFlow | null)[] = [];
  /** Indexes of flows that have ended. */
  readonly #free: FlowIndex[] = [];

  /** @param capacity limit of flows */
  constructor(readonly capacity: number) {
    this.keys = new FlowKeys(capacity);
    this.#stages = new FlowStages(capacity);
  }

  get size(): number {
    return this.#stages.size;
  }

  get isFull(): boolean {
    return this.size === this.capacity;
  }

  /** The flow of a datagram, or null. @param listener that has received the datagram */
  find(listener: ListeningSocket, head: DatagramHead): UdpFlow | null {
    return this.#at(this.keys.find(listener.fd, head, listener.portal.isV6));
  }

  /** Whether the datagram's participant may not have a flow of its own, see {@link ParticipantFlows}. */
  hasTooManyParticipants({ prefixWords, names, nameAt }: DatagramHead): boolean {
    return prefixWords > 0 && this.#ofParticipants.isFull(clientKey(names, nameAt));
  }

  /** The flows of single participants at the client address of a flow, itself among them. */
  participantsBeside({ index }: UdpFlow): Iterable<UdpFlow> {
    return this.#ofParticipants.of(this.#clientOf(index));
  }

  /**
   * Adds the flow of a datagram for which {@link find} returned null. The table must not be full.
   * @param now loop clock, ms
   */
  add(flow: UdpFlow, head: DatagramHead, now: number): void {
    const { listener } = flow;
    const index = this.#free.pop() ?? this.#flows.length;
    flow.index = index;
    this.#flows[index] = flow;
    this.keys.add(index, listener.fd, head, listener.portal.isV6);
    this.#stages.add(index, now);
    listener.flows.add(flow);
    flow.isOfParticipant = head.prefixWords > 0;
    if (flow.isOfParticipant) this.#ofParticipants.add(this.#clientOf(index), flow);
  }

  remove(flow: UdpFlow): void {
    const { index } = flow;
    flow.listener.flows.delete(flow);
    if (flow.isOfParticipant) this.#ofParticipants.remove(this.#clientOf(index), flow);
    this.#stages.remove(index);
    this.keys.remove(index);
    this.#flows[index] = null;
    this.#free.push(index);
    flow.index = NO_FLOW;
  }

  /** The flow carried a datagram: it is now the most recently used one of its stage. */
  touch({ index }: UdpFlow, now: number): void {
    this.#stages.touch(index, now);
  }

  /** The flow had a reply. */
  markReplied({ index }: UdpFlow): void {
    this.#stages.markReplied(index);
  }

  setStage({ index }: UdpFlow, stage: Stage): void {
    this.#stages.setStage(index, stage);
  }

  stageOf({ index }: UdpFlow): Stage {
    return this.#stages.stageOf(index);
  }

  /** When the flow last carried a datagram, ms of the loop's clock. */
  lastUsed({ index }: UdpFlow): number {
    return this.#stages.lastUsed[index];
  }

  /** The least recently used flow of a stage, or null. */
  oldest(stage: Stage): UdpFlow | null {
    return this.#at(this.#stages.oldest(stage));
  }

  /** The relayed flow that should end first, or null, see {@link FlowStages.victim}. */
  victim(): UdpFlow | null {
    return this.#at(this.#stages.victim());
  }

  /** The relayed flows in the order of their indexes, from an index on. */
  *sessionsFrom(index: FlowIndex): Iterable<OpenSession> {
    const { words } = this.keys.names;
    for (let position = index; position < this.#flows.length; position++) {
      const flow = this.#flows[position];
      const state = STATES[this.#stages.stageOf(position)];
      if (flow === null || state === null) continue;
      const { portal, target } = flow;
      const nameAt = this.keys.nameAt(position);
      yield {
        position,
        portal,
        target,
        state,
        usedAt: this.#stages.lastUsed[position],
        client: clientKey(words, nameAt),
        clientPort: portAt(words, nameAt),
      };
    }
  }

  #clientOf(index: FlowIndex): ClientKey {
    return clientKey(this.keys.names.words, this.keys.nameAt(index));
  }

  #at(index: FlowIndex): UdpFlow | null {
    return index === NO_FLOW ? null : this.#flows[index];
  }
}
