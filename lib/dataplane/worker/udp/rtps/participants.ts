import { LRUCache } from 'lru-cache';
import { type Announcement, announcementAt, readAnnouncement } from '../../../../rtps/announcement.js';
import { isRtps, SOURCE_PREFIX_AT } from '../../../../rtps/message.js';
import { isSamePrefix, PREFIX_SIZE, prefixText } from '../../../../rtps/prefix.js';
import { ABSENT } from '../../../../rtps/submessages.js';
import { portAt } from '../../../../sys/sockaddrwords.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { ParticipantsPage, ParticipantsQuestion } from '../../../shared/participants.js';
import { clientAddress, clientKey } from '../../clientkey.js';
import { hasOtherPin, type UdpFlow } from '../flow.js';
import type { FlowKeys } from '../flowkeys.js';
import { type Inbox, NO_SLOT } from '../inbox.js';
import { type Announced, Participant } from './participant.js';

/** A longer announcement is not kept to be sent again. Announcements have a few hundred bytes. */
export const MAX_KEPT_BYTES = 4096;
/** Limit of memory for the participants of one worker. Beyond it, the longest silent one is forgotten. */
const MAX_TOTAL_BYTES = 4 * 1024 * 1024;
/** About the memory of a participant without its datagram. */
const OVERHEAD_BYTES = 1024;
/** A participant that announces a longer lease is forgotten after this time. */
const MAX_LEASE_MS = 3_600_000;
/** How many participants one page lists, as with sessions. */
const PAGE_SIZE = 250;
/** This many reported clients are remembered. If there are more, some are reported once more. */
const MAX_WARNED = 1000;

type Batch = Pick<Inbox, 'nextOf' | 'payloads' | 'startOf' | 'endOf'>;

/**
 * The participants that a worker knows. A participant is known after it has sent its own announcement to a
 * Service that speaks RTPS. Anybody can send announcements, so the memory is limited.
 */
export class Participants {
  /** Null until the first participant comes: most nodes have none. */
  #known: LRUCache<string, Participant> | null = null;
  #heard = 0;
  readonly #keys: FlowKeys;
  readonly #now: () => number;
  readonly #report: (event: DataplaneEvent) => void;
  readonly #warned = new Set<string>();

  /**
   * @param keys the addresses of flows
   * @param now the loop's clock
   * @param report takes events for the log
   */
  constructor(keys: FlowKeys, now: () => number, report: (event: DataplaneEvent) => void) {
    this.#keys = keys;
    this.#now = now;
    this.#report = report;
  }

  /** Reads the flow's datagrams of the present batch. */
  hear(flow: UdpFlow, batch: Batch): void {
    for (let slot = flow.firstSlot; slot !== NO_SLOT; slot = batch.nextOf(slot)) {
      this.#hearOne(flow, batch.payloads, batch.startOf(slot), batch.endOf(slot));
    }
  }

  /** The participants whose lease is not over. */
  all(): Iterable<Participant> {
    return this.#known?.values() ?? [];
  }

  /** Whether no participant is known, or remembered although its lease is over. */
  get isEmpty(): boolean {
    return this.#known === null || this.#known.size === 0;
  }

  /**
   * Whether a participant with another pin has announced itself from the socket of a flow's client.
   * @param port of the client
   */
  haveOther(flow: UdpFlow, port: number): boolean {
    const address = clientAddress(clientKey(this.#keys.names.words, this.#keys.nameAt(flow.index)));
    for (const { announced } of this.all()) {
      const isSameSocket = announced.port === port && announced.address === address;
      if (isSameSocket && hasOtherPin(announced.flow, flow)) return true;
    }
    return false;
  }

  /** Forgets those whose lease is over. */
  forgetSilent(): void {
    this.#known?.purgeStale();
  }

  /** One page of the list. */
  page({ service, from }: ParticipantsQuestion): ParticipantsPage {
    const wanted = [...this.all()]
      .filter((participant) => participant.number >= from)
      .filter(
        (participant) => service === null || participant.announced.flow.portal.balancer.service === service,
      )
      .sort((one, other) => one.number - other.number);
    return {
      participants: wanted.slice(0, PAGE_SIZE).map((participant) => participant.describe(this.#now())),
      next: wanted[PAGE_SIZE]?.number ?? null,
    };
  }

  #hearOne(flow: UdpFlow, bytes: Uint8Array, start: number, end: number): void {
    if (!isRtps(bytes, start, end)) return;
    if (announcementAt(bytes, start, end) !== ABSENT) this.#hearAnnouncement(flow, bytes, start, end);
    const participant = this.#senderOf(flow, bytes, start);
    if (participant === null) return;
    participant.datagrams++;
    participant.bytes += end - start;
    participant.heardAt = this.#now();
  }

  /** The sender of a message. Nearly always it is the sender of the flow's message before. */
  #senderOf(flow: UdpFlow, bytes: Uint8Array, start: number): Participant | null {
    const known = this.#known;
    if (known === null) return null;
    const at = start + SOURCE_PREFIX_AT;
    let sender = flow.lastSender;
    if (sender === null || !isSamePrefix(sender.prefix, 0, bytes, at)) {
      sender = { prefix: bytes.slice(at, at + PREFIX_SIZE), key: keyOf(flow, prefixText(bytes, at)) };
      flow.lastSender = sender;
    }
    // get() starts its lease again.
    return known.get(sender.key) ?? null;
  }

  #hearAnnouncement(flow: UdpFlow, bytes: Uint8Array, start: number, end: number): void {
    const announcement = readAnnouncement(bytes, start, end);
    if (announcement === null || !announcement.isOwn) return;
    flow.hasAnnounced = true;
    const key = keyOf(flow, announcement.prefix);
    if (announcement.isFarewell) {
      this.#known?.delete(key);
      return;
    }
    const datagram = end - start > MAX_KEPT_BYTES ? null : bytes.slice(start, end);
    const participant = this.#announce(key, this.#announced(flow, announcement, datagram));
    this.#warnOf(participant);
  }

  #announced(flow: UdpFlow, announcement: Announcement, datagram: Uint8Array | null): Announced {
    const { words } = this.#keys.names;
    const at = this.#keys.nameAt(flow.index);
    const address = clientAddress(clientKey(words, at));
    return { announcement, datagram, flow, address, port: portAt(words, at) };
  }

  #announce(key: string, announced: Announced): Participant {
    this.#known ??= this.#open();
    let participant = this.#known.get(key);
    if (participant === undefined) participant = new Participant(this.#heard++, announced, this.#now());
    else participant.announced = announced;
    this.#known.set(key, participant, {
      // 0 would mean for ever.
      ttl: Math.max(1, Math.min(announced.announcement.leaseMs, MAX_LEASE_MS)),
      size: OVERHEAD_BYTES + (announced.datagram?.length ?? MAX_KEPT_BYTES),
    });
    return participant;
  }

  #warnOf({ announced, unreachableAt }: Participant): void {
    const { flow, address } = announced;
    const who = `${flow.portal.balancer.service} ${address}`;
    if (unreachableAt.length === 0 || this.#warned.has(who)) return;
    if (this.#warned.size === MAX_WARNED) this.#warned.clear();
    this.#warned.add(who);
    this.#report({
      kind: 'clientBehindNat',
      portal: flow.portal.key,
      client: address,
      announced: unreachableAt,
    });
  }

  #open(): LRUCache<string, Participant> {
    return new LRUCache<string, Participant>({
      maxSize: MAX_TOTAL_BYTES,
      ttl: 1,
      // Above 0, lru-cache keeps a time until a JavaScript timer fires, and none ever fires in a worker.
      ttlResolution: 0,
      updateAgeOnGet: true,
      perf: { now: this.#now },
    });
  }
}

function keyOf(flow: UdpFlow, prefix: string): string {
  return `${prefix} ${flow.portal.balancer.service}`;
}
