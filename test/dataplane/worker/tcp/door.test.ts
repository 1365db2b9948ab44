import t from 'tap';
import { DescriptorBudget } from '../../../../lib/dataplane/shared/budget.js';
import { type ClientSession, ClientTable } from '../../../../lib/dataplane/worker/tcp/clients.js';
import { Decision, Door, type Visitor } from '../../../../lib/dataplane/worker/tcp/door.js';

const LIMIT = 130;
const SECOND = 1000;

/** A door with sessions. A session holds two descriptors, a waiting connection one. */
class Stage {
  now = 0;
  readonly budget = new DescriptorBudget();
  readonly clients = new ClientTable();
  readonly limited: unknown[] = [];
  readonly evicted: unknown[] = [];
  readonly door = new Door<Visitor>(
    this.budget,
    this.clients,
    () => this.now,
    (client) => this.limited.push(client),
  );

  constructor() {
    this.budget.limit = LIMIT;
  }

  /** A connection comes to the door. */
  arrive(client: string): Decision {
    const decision = this.door.judge(client);
    if (decision === Decision.Serve) this.serve(client);
    else if (decision === Decision.Wait) {
      this.budget.take(1);
      this.door.wait({ client });
    }
    return decision;
  }

  serve(client: string): void {
    this.budget.take(2);
    const session: ClientSession = {
      clientPrevious: null,
      clientNext: null,
      usedAt: 0,
      evict: () => {
        this.evicted.push(client);
        this.budget.give(2);
        this.clients.leave(owner, session);
      },
    };
    const owner = this.clients.enter(client, session, this.now);
  }

  /** Connections of a client arrive until one must wait. @returns how many of them are served */
  fill(client: string): number {
    let served = 0;
    while (this.arrive(client) === Decision.Serve) served++;
    return served;
  }
}

t.test('all connections are served while descriptors are left', async (t) => {
  const stage = new Stage();
  for (let i = 0; i < 61; i++) t.equal(stage.arrive('a'), Decision.Serve);
  t.same(stage.limited, []);
});

t.test('the last sixteenth is for clients with fewer connections than another', async (t) => {
  const stage = new Stage();
  t.equal(stage.fill('a'), 61);
  t.same(stage.limited, ['a']);
  t.equal(stage.arrive('b'), Decision.Serve);
  t.equal(stage.arrive('b'), Decision.Serve);
  t.same(stage.evicted, [], 'nobody is idle');
});

t.test('their connections replace the longest idle ones of the greediest client', async (t) => {
  const stage = new Stage();
  stage.fill('a');
  stage.now = 5 * SECOND;
  const { used } = stage.budget;
  for (let i = 0; i < 10; i++) t.equal(stage.arrive(`b${i}`), Decision.Serve);
  t.equal(stage.budget.used, used);
  t.same(stage.evicted, new Array(10).fill('a'));
  while (stage.arrive('c') === Decision.Serve);
  const [a, c] = [stage.clients.sessionsOf('a'), stage.clients.sessionsOf('c')];
  t.ok(Math.abs(a - c) <= 1, `until shares are equal: ${a} and ${c}`);
});

t.test('a waiting connection is served when there is room, or another client has more', async (t) => {
  const stage = new Stage();
  stage.fill('a');
  const waiting: string[] = [];
  stage.door.admit((visitor) => {
    waiting.push(String(visitor.client));
    return stage.door.isWelcome(visitor);
  });
  t.same(waiting, ['a']);
  t.notOk(stage.door.isEmpty, 'not yet');
  stage.budget.give(40);
  stage.door.admit((visitor) => stage.door.isWelcome(visitor));
  t.ok(stage.door.isEmpty);
});

t.test('the connections of a single client wait in the kernel for a while', async (t) => {
  const stage = new Stage();
  stage.fill('a');
  while (stage.door.mayOpen()) t.equal(stage.arrive('a'), Decision.Wait);
  stage.now = 14 * SECOND;
  t.notOk(stage.door.mayOpen());
  stage.now = 15 * SECOND;
  t.ok(stage.door.mayOpen(), 'somebody may stand behind its connections');
  t.equal(stage.arrive('a'), Decision.Refuse);
  stage.now = 44 * SECOND;
  t.ok(stage.door.mayOpen());
  stage.now = 45 * SECOND;
  t.notOk(stage.door.mayOpen(), 'nobody did');
});

t.test(
  'while other clients come, the client with the most is refused, so that they need not wait',
  async (t) => {
    const stage = new Stage();
    stage.fill('a');
    while (stage.door.mayOpen()) stage.arrive('a');
    stage.arrive('b');
    t.ok(stage.door.mayOpen());
    t.equal(stage.arrive('a'), Decision.Refuse);
    t.equal(stage.arrive('c'), Decision.Serve);
  },
);
