import t, { type Test } from 'tap';
import type { Family } from '../../lib/net/address.js';
import type { Redirect } from '../../lib/redirect/driver.js';
import { FamilyRules } from '../../lib/redirect/familyrules.js';
import { keyOf } from '../../lib/redirect/key.js';
import type { ChangedVips } from '../../lib/redirect/staleflows.js';
import { Xtables } from '../../lib/redirect/xtables.js';
import { RELAYED } from './relayed.js';

/** Keeps what it is asked to look for in the place of looking. */
class Lookout {
  seen: [string, number | null][] = [];

  async end(_family: Family, { keys, proxyPortOf }: ChangedVips): Promise<void> {
    this.seen = [...keys].map((key) => [key, proxyPortOf(key)]);
  }
}

function redirect(name: string, proxyPort: number, ...hosts: number[]): Redirect {
  const vips = hosts.map((host) => ({ address: `10.96.0.${host}`, port: 80 }));
  return { id: name, label: name, protocol: 'UDP', family: 'IPv4', vips, proxyPort, ...RELAYED };
}

/** Rules whose `iptables-restore` answers `answer`, and the flows that they look for. */
function familyRules() {
  const answer = { code: 0 };
  const run = async () => ({ ...answer, stdout: '', stderr: '' });
  const staleFlows = new Lookout();
  const flows = { stale: staleFlows, carried: { end: async () => {} } };
  const rules = new FamilyRules(new Xtables('nft', 'IPv4', run), flows, {
    family: 'IPv4',
    bindAddress: '0.0.0.0',
    proxyPortRange: { first: 1, last: 10 },
    features: { comment: true, guard: null },
  });
  const sameAs = (t: Test, ports: Record<number, number | null>, message: string) => {
    const expected = Object.entries(ports).map(([host, port]) => [keyOf(`10.96.0.${host}`, 'UDP', 80), port]);
    t.strictSame(staleFlows.seen.sort(), expected, message);
    staleFlows.seen = [];
  };
  return { rules, sameAs, answer };
}

t.test('only flows to changed VIPs are looked for', async (t) => {
  const { rules, sameAs } = familyRules();
  rules.set(redirect('a', 1, 1, 2));
  rules.set(redirect('b', 2, 3));
  await rules.program();
  sameAs(t, { 1: 1, 2: 1, 3: 2 }, 'at first all');
  rules.set(redirect('c', 3, 4));
  await rules.program();
  sameAs(t, { 4: 3 }, 'a new one');
  rules.set(redirect('a', 1, 2));
  await rules.program();
  sameAs(t, { 1: null, 2: 1 }, 'one that goes');
  rules.delete('b');
  await rules.program();
  sameAs(t, { 3: null }, 'the last one of a redirect');
});

t.test('flows to a VIP that moves to another redirect are looked for with the new port', async (t) => {
  const { rules, sameAs } = familyRules();
  rules.set(redirect('a', 1, 1, 2));
  await rules.program();
  sameAs(t, { 1: 1, 2: 1 }, 'before');
  rules.set(redirect('b', 2, 1));
  rules.set(redirect('a', 1, 2));
  await rules.program();
  sameAs(t, { 1: 2, 2: 1 }, 'taken before the other gives it away');
});

t.test('an audit that comes before the first change repairs nothing: it makes the first rules', async (t) => {
  const { rules } = familyRules();
  t.equal(await rules.audit(), 0);
  t.ok((await rules.audit()) > 0, 'then they are missing: the kernel of this test has none');
});

t.test('if the rules of before are unknown, flows to all VIPs are looked for', async (t) => {
  const { rules, sameAs, answer } = familyRules();
  rules.set(redirect('a', 1, 1));
  await rules.program();
  sameAs(t, { 1: 1 }, 'at first');
  t.ok((await rules.audit()) > 0);
  sameAs(t, { 1: 1 }, 'after a repair');
  rules.delete('a');
  rules.set(redirect('b', 2, 2));
  answer.code = 1;
  await t.rejects(rules.program());
  sameAs(t, {}, 'not while the rules are refused');
  answer.code = 0;
  await rules.program();
  sameAs(t, { 1: null, 2: 2 }, 'what went meanwhile too');
});
