import assert from 'node:assert/strict';
import type { ActualState, Step } from '../../lib/controlplane/plan.js';
import type { Portal, Snapshot } from '../../lib/portal/portal.js';

interface ModelPortal {
  readonly id: number;
  portal: Portal;
  /** Places where it listens. A place that it has given up counts until the workers have closed it. */
  places: readonly string[];
  /** The version that the workers have. Null: none. */
  told: Portal | null;
}

/** A node whose portals listen on their VIPs and NodePorts. It throws if a step breaks a rule. */
export class NodeModel {
  #snapshot: Snapshot = new Map();
  readonly #portals = new Map<string, ModelPortal>();
  readonly #unfinished = new Set<string>();
  /** The places of removed portals, by id. */
  readonly #closing = new Map<number, readonly string[]>();
  readonly #stale = new Set<string>();
  /** The driver's redirects: the VIPs that lead to each portal, by key. */
  readonly #redirects = new Map<string, readonly string[]>();
  #nextId = 0;

  actual(): ActualState {
    return {
      portals: this.#snapshot,
      unfinished: new Set(this.#unfinished),
      closing: new Set(this.#closing.keys()),
      stale: new Set(this.#stale),
    };
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) this.#do(step);
  }

  /** Fails unless the node has all that is desired, and nothing else. */
  check(desired: Snapshot): void {
    assert.deepEqual([...this.#portals.keys()].sort(), [...desired.keys()].sort());
    assert.deepEqual([...this.#redirects.keys()].sort(), [...desired.keys()].sort());
    assert.equal(this.#closing.size, 0);
    for (const [key, portal] of desired) {
      const one = this.#get(key);
      assert.deepEqual([...one.places].sort(), placesOf(portal).sort());
      assert.deepEqual(one.told, portal);
      assert.deepEqual(this.#redirects.get(key), vipsOf(portal));
    }
  }

  #do(step: Step): void {
    switch (step.do) {
      case 'unredirect':
        for (const key of step.keys) assert.ok(this.#portals.has(key), `${key} is there`);
        for (const key of step.keys) this.#redirects.delete(key);
        for (const key of step.keys) this.#unfinished.add(key);
        return;
      case 'take over':
        this.#takeOver(step);
        return;
      case 'close':
        for (const key of step.keys) this.#close(this.#get(key));
        this.#closing.clear();
        return;
      case 'open':
        for (const key of step.keys) this.#open(this.#get(key));
        return;
      case 'tell workers':
        for (const key of step.keys) this.#get(key).told = this.#get(key).portal;
        for (const key of step.keys) this.#unfinished.delete(key);
        for (const key of step.keys) if (this.#isOutdated(key)) this.#unfinished.add(key);
        return;
      case 'redirect':
        this.#redirect(step.keys, step.stale);
    }
  }

  #takeOver({ desired, diff, stale }: Extract<Step, { do: 'take over' }>): void {
    this.#snapshot = desired;
    for (const { key } of diff.removed) {
      const { id, places } = this.#get(key);
      this.#closing.set(id, places);
      this.#portals.delete(key);
      this.#unfinished.delete(key);
    }
    for (const { before, after } of diff.changed) {
      const one = this.#get(before.key);
      one.portal = after;
      this.#portals.delete(before.key);
      this.#portals.set(after.key, one);
      this.#unfinished.delete(before.key);
      this.#unfinished.add(after.key);
    }
    for (const portal of diff.added) {
      this.#portals.set(portal.key, { id: this.#nextId++, portal, places: [], told: null });
      this.#unfinished.add(portal.key);
    }
    for (const key of stale) this.#stale.add(key);
    for (const key of [...this.#stale]) if (desired.has(key)) this.#stale.delete(key);
  }

  #close(one: ModelPortal): void {
    const wanted = placesOf(one.portal);
    one.places = one.places.filter((place) => wanted.includes(place));
  }

  #open(one: ModelPortal): void {
    const held = [...this.#portals.values()].filter((other) => other !== one).flatMap(({ places }) => places);
    const closing = [...this.#closing.values()].flat();
    for (const place of placesOf(one.portal)) {
      assert.ok(!held.includes(place) && !closing.includes(place), `${place} is held still`);
    }
    one.places = placesOf(one.portal);
  }

  #redirect(keys: readonly string[], stale: readonly string[]): void {
    for (const key of stale) {
      assert.ok(!this.#portals.has(key), `${key} is gone`);
      this.#redirects.delete(key);
      this.#stale.delete(key);
    }
    for (const key of keys) {
      const { portal, places, told } = this.#get(key);
      assert.equal(told, portal, `the workers know ${key}`);
      if (portal.endpoints.length > 0) for (const vip of vipsOf(portal)) assert.ok(places.includes(vip));
      this.#redirects.set(key, vipsOf(portal));
      this.#unfinished.delete(key);
    }
    const leads = [...this.#redirects.values()].flat();
    assert.equal(new Set(leads).size, leads.length, 'each VIP leads to one portal');
  }

  #isOutdated(key: string): boolean {
    return this.#redirects.get(key)?.join() !== vipsOf(this.#get(key).portal).join();
  }

  #get(key: string): ModelPortal {
    const one = this.#portals.get(key);
    assert.ok(one !== undefined, `there is a portal ${key}`);
    return one;
  }
}

function vipsOf({ vips }: Portal): string[] {
  return vips.map(({ address, port }) => `${address}:${port}`);
}

/** A portal without endpoints does not listen. */
function placesOf(portal: Portal): string[] {
  if (portal.endpoints.length === 0) return [];
  return [...vipsOf(portal), ...(portal.nodePort === null ? [] : [`node:${portal.nodePort}`])];
}
