import fc from 'fast-check';
import t from 'tap';
import { type IdleAnswer, type IdleWorld, measureTimeout } from '../../../lib/affinity/asking/timeout.js';

/** A Service in a world whose clock runs only while somebody sleeps. Without its pin, a client moves. */
class PretendService implements IdleWorld {
  readonly #timeoutMs: number;
  readonly #pins = new Map<string, { backend: number; usedMs: number }>();
  #now = 0;
  #next = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  async ask(clients: readonly string[]): Promise<readonly IdleAnswer[]> {
    return clients.map((client) => ({
      ...{ client, backend: `pod-${this.#backendOf(client)}` },
      ...{ atMs: this.#now, tookMs: 0 },
    }));
  }

  async sleep(ms: number): Promise<void> {
    this.#now += ms;
  }

  now(): number {
    return this.#now;
  }

  #backendOf(client: string): number {
    const pin = this.#pins.get(client);
    const isAlive = pin !== undefined && this.#now - pin.usedMs < this.#timeoutMs;
    // Never the same again, so that no test depends on luck.
    const backend = isAlive ? pin.backend : this.#next++;
    this.#pins.set(client, { backend, usedMs: this.#now });
    return backend;
  }
}

const clientsOf = (count: number) => Array.from({ length: count }, (_, i) => `10.0.0.${i}`);

t.test('the time-out is between the two pauses of the result, whatever it is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60_000 }),
      fc.integer({ min: 1, max: 80 }),
      async (timeoutMs, count) => {
        const world = new PretendService(timeoutMs);
        const { keptMs, movedMs } = await measureTimeout(world, '80/tcp', clientsOf(count), 60_000);
        if (movedMs === null) return keptMs <= timeoutMs && keptMs === 60_000;
        return keptMs < timeoutMs && timeoutMs <= movedMs;
      },
    ),
  );
});

t.test('sixty clients find a time-out to five percent within three times as long', async (t) => {
  for (const timeoutMs of [1000, 7777, 30_000]) {
    const world = new PretendService(timeoutMs);
    const { keptMs, movedMs } = await measureTimeout(world, '80/tcp', clientsOf(60), 60_000);
    t.ok(movedMs !== null && movedMs - keptMs <= Math.max(200, movedMs * 0.05), `${keptMs} to ${movedMs}`);
    t.ok(world.now() <= 3 * timeoutMs + 60_000 / 7, `${timeoutMs} ms took ${world.now()} ms`);
  }
});

t.test('a time-out beyond the longest pause is told as longer', async (t) => {
  const world = new PretendService(10_800_000);
  const result = await measureTimeout(world, '80/tcp', clientsOf(16), 5000);
  t.match(result, { port: '80/tcp', keptMs: 5000, movedMs: null });
  t.equal(world.now(), 5000, 'the longest pause is waited for once');
});

t.test('clients that are not answered are not counted', async (t) => {
  const world = new PretendService(1000);
  const half = clientsOf(8);
  const deaf: IdleWorld = {
    ask: (clients) => world.ask(clients.filter((client) => half.includes(client))),
    sleep: (ms) => world.sleep(ms),
    now: () => world.now(),
  };
  const { trials } = await measureTimeout(deaf, '80/tcp', clientsOf(16), 500);
  t.equal(
    trials.reduce((sum, trial) => sum + trial.clients, 0),
    8,
  );
});
