import { EVICTED_CELL, TOTAL_CELL } from '../shared/pincells.js';
import { PINS_PAGE_SIZE, type PinRecord, type PinsPage, type PinsQuestion } from '../shared/pins.js';
import type { Task } from './loop.js';
import { Pin, type PinOwner, recordOf } from './pin.js';
import { type PinKey, parsePinKey } from './pinkey.js';
import type { PinOutbox } from './pinoutbox.js';
import { PinTimers } from './pintimers.js';
import type { ServiceEndpoint, ServiceEndpoints } from './serviceendpoints.js';

/**
 * The main thread learns about a use if this share of the pin's time has passed since the last use that it
 * knows. After a restart, a pin ends earlier by this share at most.
 */
const TOLD_SHARE = 1 / 8;

export interface PinTableOptions {
  /** Limit of pins in this worker, over all Services. Beyond it, the least recently used pin is dropped. */
  readonly capacity: number;
  /** See pincells.ts. */
  readonly cells: Int32Array;
  readonly endpoints: ServiceEndpoints;
  readonly outbox: PinOutbox;
  /** The loop's clock, ms: a look-up must cost no system call. */
  now(): number;
}

/**
 * Pins of one worker. The kernel steers a client to the same worker on every port (lib/sys/steering.ts), so
 * workers share only the counts.
 */
export class PinTable implements Task, PinOwner {
  readonly #options: PinTableOptions;
  readonly #pins = new Map<string, Pin>();
  readonly #timers = new PinTimers();
  #lastNumber = 0;

  constructor(options: PinTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pins.size;
  }

  get deadline(): number {
    return this.#timers.deadline;
  }

  /** Ends the pins whose time is over. */
  expire(now: number): void {
    this.#timers.expire(now);
  }

  /** The main thread knows when a pin ends, and is not told. */
  onExpired(pin: Pin): void {
    this.#remove(pin);
    if (!pin.isKnown) this.#options.outbox.addGone(pin);
  }

  /** Finds a pin. This is not a use of the pin. @param portal see PinName.portal */
  find(service: string, portal: string | null, key: PinKey): Pin | undefined {
    return this.#pins.get(mapKey(service, portal, key));
  }

  /** Starts the time of the pin again. @param timeoutMs the pin ends after this time without use */
  use(pin: Pin, timeoutMs: number): void {
    const now = this.#options.now();
    this.#timers.start(pin, timeoutMs, now);
    if (now - pin.toldUseAt >= timeoutMs * TOLD_SHARE) this.#options.outbox.add(pin);
  }

  /** Pins a client. {@link find} must have returned undefined for it. */
  add(
    service: string,
    portal: string | null,
    key: PinKey,
    endpoint: ServiceEndpoint,
    timeoutMs: number,
  ): void {
    const pin = this.#insert(service, portal, key, endpoint, Date.now());
    this.use(pin, timeoutMs);
    this.#options.endpoints.addPin(endpoint);
    this.#evict();
  }

  /** The endpoint has failed the client. The next pick moves the pin. */
  makeHomeless(pin: Pin): void {
    if (pin.isHomeless) return;
    pin.isHomeless = true;
    this.#options.endpoints.removePin(pin.endpoint);
  }

  /** Moves a pin. The new endpoint's count has it already, see {@link ServiceEndpoints.tryAddPin}. */
  move(pin: Pin, endpoint: ServiceEndpoint, timeoutMs: number): void {
    this.makeHomeless(pin);
    if (pin.endpoint !== endpoint) pin.moves++;
    pin.endpoint = endpoint;
    pin.isHomeless = false;
    this.use(pin, timeoutMs);
    this.#options.outbox.add(pin);
  }

  /**
   * Gives up all pins of a client of a Service.
   * @param client as in PinName
   * @returns how many there were
   */
  release(service: string, client: string): number {
    const key = parsePinKey(client);
    const released = [...this.#pins.values()].filter((pin) => pin.service === service && pin.key === key);
    for (const pin of released) this.#giveUp(pin);
    return released.length;
  }

  /**
   * Takes pins of an earlier run. A client that has a new pin already keeps the new one.
   * @param records in the order in which they end
   */
  restore(records: readonly PinRecord[]): void {
    const now = this.#options.now();
    const time = Date.now();
    for (const record of records) {
      const { service, portal, timeoutMs, pinnedAt } = record;
      const key = parsePinKey(record.client);
      if (this.find(service, portal, key) !== undefined) continue;
      const endpoint = this.#options.endpoints.of(service, record.endpoint);
      const pin = this.#insert(service, portal, key, endpoint, pinnedAt);
      pin.moves = record.moves;
      this.#timers.startRestored(pin, timeoutMs, now + record.usedAt + timeoutMs - time);
      pin.isKnown = true;
      pin.toldUseAt = pin.usedAt;
      this.#options.endpoints.addPin(endpoint);
      this.#evict();
    }
  }

  /** One page of the pins, in the order of their numbers. */
  page({ service, client, from }: PinsQuestion): PinsPage {
    const key = client === null ? null : parsePinKey(client);
    const now = this.#options.now();
    const time = Date.now();
    const pins: PinRecord[] = [];
    let lookedAt = 0;
    for (const pin of this.#pins.values()) {
      if (pin.number < from) continue;
      if (lookedAt++ === PINS_PAGE_SIZE) return { pins, next: pin.number };
      const isWanted = (service === null || pin.service === service) && (key === null || pin.key === key);
      if (!isWanted) continue;
      pin.isKnown = true;
      pins.push(recordOf(pin, now, time));
    }
    return { pins, next: null };
  }

  #insert(
    service: string,
    portal: string | null,
    key: PinKey,
    endpoint: ServiceEndpoint,
    pinnedAt: number,
  ): Pin {
    const pin = new Pin(this, ++this.#lastNumber, service, portal, key, pinnedAt, endpoint);
    this.#pins.set(mapKey(service, portal, key), pin);
    Atomics.add(this.#options.cells, TOTAL_CELL, 1);
    return pin;
  }

  #evict(): void {
    if (this.#pins.size <= this.#options.capacity) return;
    const { oldest } = this.#timers;
    if (oldest === null) return;
    this.#giveUp(oldest);
    Atomics.add(this.#options.cells, EVICTED_CELL, 1);
  }

  #giveUp(pin: Pin): void {
    pin.timerList?.stop(pin);
    this.#remove(pin);
    this.#options.outbox.addGone(pin);
  }

  #remove(pin: Pin): void {
    this.makeHomeless(pin);
    pin.isGone = true;
    this.#pins.delete(mapKey(pin.service, pin.portal, pin.key));
    Atomics.sub(this.#options.cells, TOTAL_CELL, 1);
  }
}

/** A quoted key is text: the digits of an RTPS prefix can be those of an IPv4 address as a number. */
function mapKey(service: string, portal: string | null, key: PinKey): string {
  const scope = portal ?? service;
  return typeof key === 'number' ? `${key} ${scope}` : `"${key}" ${scope}`;
}
