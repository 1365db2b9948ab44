import t from 'tap';
import { Client, type ClientSession, ClientTable } from '../../../../lib/dataplane/worker/tcp/clients.js';
import { exactly } from '../../../lab/items.js';

class Session implements ClientSession {
  clientPrevious: ClientSession | null = null;
  clientNext: ClientSession | null = null;
  usedAt = 0;
  constructor(readonly name = '') {}
  evict(): void {}
}

/** The names of a client's sessions, the longest idle first. */
function namesOf(client: Client): string {
  let names = '';
  for (let session = client.idlest; session !== null; session = session.clientNext) {
    names += (session as Session).name;
  }
  return names;
}

t.test('the longest idle session comes first, exact to one second', async (t) => {
  const client = new Client(1);
  const [a, b, c] = [new Session('a'), new Session('b'), new Session('c')];
  for (const [at, session] of [a, b, c].entries()) client.add(session, at);
  client.touch(a, 900);
  t.equal(namesOf(client), 'abc', 'less than a second is not worth a move');
  client.touch(a, 1000.5);
  t.equal(namesOf(client), 'bca');
  t.equal(a.usedAt, 1000);
  client.remove(c);
  client.touch(a, 5000);
  t.equal(namesOf(client), 'ba');
  client.remove(b);
  client.remove(a);
  t.equal(client.sessions, 0);
  t.equal(namesOf(client), '');
});

t.test('a client is forgotten when its last session ends', async (t) => {
  const table = new ClientTable();
  const session = new Session();
  const client = table.enter('fd00::1', session, 0);
  t.equal(table.greediest, client);
  t.equal(table.sessionsOf('fd00::1'), 1);
  table.leave(client, session);
  t.same([table.size, table.sessionsOf('fd00::1'), table.greediest], [0, 0, null]);
});

t.test('the greediest client always has the most sessions', async (t) => {
  const table = new ClientTable();
  const open: { client: Client; session: Session }[] = [];
  let wrong = 0;
  for (let step = 0; step < 20_000; step++) {
    // For 2000 steps more sessions begin than end, then more end than begin.
    const grows = Math.random() < (step % 4000 < 2000 ? 0.6 : 0.4);
    if (grows || open.length === 0) {
      const session = new Session();
      // Clients with low numbers get the most sessions.
      open.push({ session, client: table.enter(Math.floor(40 * Math.random() ** 3), session, step) });
    } else {
      const [{ client, session }] = exactly(1, open.splice(Math.floor(Math.random() * open.length), 1));
      table.leave(client, session);
    }
    if (Math.random() < 0.5) continue;
    const most = Math.max(0, ...new Set(open.map(({ client }) => client.sessions)));
    if ((table.greediest?.sessions ?? 0) !== most) wrong++;
  }
  t.equal(wrong, 0);
});
