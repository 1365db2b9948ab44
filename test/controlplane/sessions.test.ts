import t from 'tap';
import { allSessions, type SessionHolder } from '../../lib/controlplane/sessions.js';
import type { ListedSessions, Session } from '../../lib/dataplane/shared/sessions.js';

const FILTER = { service: 'default/web', client: null };

/** Has so many sessions, and lists them three at a time. */
class Holder implements SessionHolder {
  readonly asked: unknown[] = [];

  constructor(readonly many: number) {}

  async *sessions(...question: Parameters<SessionHolder['sessions']>): AsyncGenerator<ListedSessions> {
    this.asked.push(question);
    let left = Math.min(this.many, question[1]);
    for (; left > 0; left -= 3) {
      yield { sessions: Array.from({ length: Math.min(3, left) }, () => ({}) as Session), loads: [] };
    }
    yield { sessions: [], loads: [] };
  }
}

async function lengths(holders: readonly Holder[], maxListed: number): Promise<number[]> {
  const all: number[] = [];
  for await (const { sessions } of allSessions(holders, FILTER, maxListed)) all.push(sessions.length);
  return all;
}

t.test('each holder lists what the ones before have left of the limit', async (t) => {
  const holders = [new Holder(4), new Holder(9)];
  t.same(await lengths(holders, 10), [3, 1, 0, 3, 3, 0]);
  t.same(
    holders.map(({ asked }) => asked),
    [[[FILTER, 10]], [[FILTER, 6]]],
  );
});

t.test('a holder is asked to count when nothing is left to list', async (t) => {
  const holders = [new Holder(4), new Holder(9)];
  t.same(await lengths(holders, 4), [3, 1, 0, 0]);
  t.same(holders[1]?.asked, [[FILTER, 0]]);
});
