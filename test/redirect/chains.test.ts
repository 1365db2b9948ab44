import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { Family } from '../../lib/net/address.js';
import { ChainTree } from '../../lib/redirect/chains.js';
import { keyOf, portKeyOf, portKeyspace, vipKeyspace } from '../../lib/redirect/key.js';
import { difference, type Ruleset } from '../../lib/redirect/ruleset.js';
import type { Entry } from '../../lib/redirect/ruletree.js';
import { item } from '../lab/items.js';
import { type Packet, walker } from './walk.js';

const FULL_LENGTH = { IPv4: 32, IPv6: 128 } as const;

function entryOf(packet: Packet, id = 'a'): Entry {
  const { family, address, port } = packet;
  const protocol = packet.protocol.toLowerCase();
  const match = `-d ${address}/${FULL_LENGTH[family]} -p ${protocol} -m ${protocol} --dport ${port}`;
  return {
    key: keyOf(address, packet.protocol, port),
    id,
    rule: `${match} -m comment --comment "${id}" -j REDIRECT --to-ports 41000`,
  };
}

function treeOf(family: Family, entries: Iterable<Entry>): ChainTree {
  const tree = new ChainTree(vipKeyspace(family));
  for (const entry of entries) tree.add(entry);
  return tree;
}

/** Few distinct values, so that random packets share addresses, prefixes and ports. */
const bits = fc.constantFrom(0, 1, 2, 3, 7, 64, 128, 255);
const arbitrary = {
  IPv4: fc.tuple(bits, bits, bits).map((parts) => `10.${parts.join('.')}`),
  IPv6: fc.tuple(bits, bits).map(([a, b]) => `fd00:${(a + 1).toString(16)}::${(b + 1).toString(16)}`),
} as const;

function packets(family: Family): fc.Arbitrary<Packet> {
  return fc.record({
    family: fc.constant(family),
    address: arbitrary[family],
    protocol: fc.constantFrom('TCP', 'UDP'),
    port: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 65535 })),
  });
}

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`${family}: a packet finds its own redirect and no other`, (t) => {
    holds(
      t,
      fc.property(
        fc.array(packets(family), { maxLength: 200, size: 'max' }),
        fc.array(packets(family), { maxLength: 20 }),
        (present, others) => {
          const tree = treeOf(
            family,
            present.map((packet) => entryOf(packet)),
          );
          const rules = new Map(present.map((packet) => entryOf(packet)).map(({ key, rule }) => [key, rule]));
          const walk = walker(tree, family);
          for (const packet of [...present, ...others]) {
            const { key } = entryOf(packet);
            const wanted = rules.get(key) ?? null;
            if (walk(packet).rule !== wanted) return false;
            if ((tree.find(key)?.rule ?? null) !== wanted) return false;
          }
          return true;
        },
      ),
      60,
    );
    t.end();
  });

  t.test(`${family}: chains do not depend on the order of changes`, (t) => {
    const steps = fc.array(fc.record({ packet: packets(family), keep: fc.boolean() }), {
      maxLength: 150,
      size: 'max',
    });
    holds(
      t,
      fc.property(steps, (changes) => {
        const tree = new ChainTree(vipKeyspace(family));
        const present = new Map<string, Entry>();
        for (const { packet } of changes) {
          const entry = entryOf(packet);
          if (!present.has(entry.key)) tree.add(entry);
          present.set(entry.key, entry);
        }
        for (const { packet, keep } of changes) {
          const entry = entryOf(packet);
          if (keep || !present.delete(entry.key)) continue;
          tree.delete(entry);
        }
        const fresh = treeOf(family, [...present.values()].reverse());
        return isDeepStrictEqual(content(tree), content(fresh));
      }),
      40,
    );
    t.end();
  });

  t.test(`${family}: changed chains equal the chains of a new tree`, (t) => {
    const toggles = fc.array(fc.array(packets(family), { maxLength: 30, size: 'max' }), { maxLength: 8 });
    holds(
      t,
      fc.property(fc.array(packets(family), { maxLength: 150, size: 'max' }), toggles, (first, steps) => {
        const present = new Map(first.map((packet) => entryOf(packet)).map((entry) => [entry.key, entry]));
        const tree = treeOf(family, present.values());
        return steps.every((step) => {
          tree.chains();
          for (const entry of step.map((packet) => entryOf(packet))) {
            const isThere = present.delete(entry.key);
            if (isThere) tree.delete(entry);
            else tree.add(entry);
            if (!isThere) present.set(entry.key, entry);
          }
          return isDeepStrictEqual(content(tree), content(treeOf(family, present.values())));
        });
      }),
      40,
    );
    t.end();
  });
}

function holds(t: Test, property: fc.IProperty<unknown>, numRuns: number): void {
  const result = fc.check(property, { numRuns });
  t.notOk(result.failed, fc.defaultReportMessage(result) ?? 'the property holds');
}

function content(tree: ChainTree): unknown {
  return { entrance: tree.entrance(), chains: tree.chains() };
}

/** 10,000 redirects as clusters have them, and as nobody should. */
const layouts: Record<string, Packet[]> = {
  'spread over a /12': ipv4(10_000, (i) => {
    const host = Math.floor((i * 2 ** 20) / 10_000) + (i % 7);
    return [`10.${96 + (host >> 16)}.${(host >> 8) & 255}.${host & 255}`, 80];
  }),
  'at random in a /12': ipv4(10_000, (i) => {
    const host = (Math.imul(i + 1, 2_654_435_761) >>> 0) % 2 ** 20;
    return [`10.${96 + (host >> 16)}.${(host >> 8) & 255}.${host & 255}`, 443];
  }),
  'in a /24, 40 ports each': ipv4(10_000, (i) => [`10.96.0.${1 + (i % 250)}`, 7400 + Math.floor(i / 250)]),
  'on one address': ipv4(10_000, (i) => ['10.96.0.10', 20_000 + i]),
  'in a /108': Array.from({ length: 10_000 }, (_, i) => ({
    family: 'IPv6',
    address: `fd00:10:96::${(((Math.imul(i + 1, 2_654_435_761) >>> 0) % 15) + 1).toString(16)}:${(i + 1).toString(16)}`,
    protocol: 'UDP',
    port: 7410,
  })),
};

function ipv4(count: number, place: (i: number) => [address: string, port: number]): Packet[] {
  return Array.from({ length: count }, (_, i) => {
    const [address, port] = place(i);
    return { family: 'IPv4', address, protocol: i % 2 === 0 ? 'TCP' : 'UDP', port };
  });
}

for (const [name, packets] of Object.entries(layouts)) {
  const first = item(packets, 0);
  const { family } = first;
  const tree = treeOf(
    family,
    packets.map((packet) => entryOf(packet)),
  );

  t.test(`10,000 redirects ${name}: fewer than 60 checks for each`, (t) => {
    const walk = walker(tree, family);
    let most = 0;
    const lost: Packet[] = [];
    for (const packet of packets) {
      const { rule, checks } = walk(packet);
      if (rule !== entryOf(packet).rule) lost.push(packet);
      most = Math.max(most, checks);
    }
    t.strictSame(lost, []);
    t.ok(most < 60, `at most ${most} checks`);
    const stranger = walk({ ...first, address: family === 'IPv4' ? '8.8.8.8' : '2001:db8::8' });
    t.equal(stranger.rule, null);
    t.ok(stranger.checks <= 5, `a stranger meets ${stranger.checks}`);
    t.end();
  });

  t.test(`10,000 redirects ${name}: chains are short and have proper names`, (t) => {
    const chains = [...tree.chains()];
    t.strictSame(
      chains.filter(([chain]) => !/^KUBE-PORTAL-[\w.-]{1,16}$/.test(chain)),
      [],
    );
    t.strictSame(
      chains.filter(([, rules]) => rules.length > 16),
      [],
    );
    t.end();
  });

  t.test(`10,000 redirects ${name}: a change of one touches few chains`, (t) => {
    const rulesetOf = (): Ruleset => new Map([['nat', { chains: tree.chains(), hooks: new Map() }]]);
    const before = rulesetOf();
    const gone = entryOf(item(packets, 5000));
    tree.delete(gone);
    const without = rulesetOf();
    tree.add(gone);
    t.ok(difference(before, without).count <= 5);
    t.ok(difference(without, rulesetOf()).count <= 5);
    t.equal(difference(before, rulesetOf()).count, 0);
    t.end();
  });
}

t.test('a chain has its prefix in its name if the name is short enough', (t) => {
  const near = (n: number): Packet => ({
    family: 'IPv4',
    address: `10.96.0.${n}`,
    protocol: 'TCP',
    port: 80,
  });
  const tree = treeOf(
    'IPv4',
    [1, 2, 3, 4, 5].map((n) => entryOf(near(n))),
  );
  t.strictSame(tree.entrance(), ['-d 10.96.0.0/28 -j KUBE-PORTAL-10.96.0.0-28']);
  t.strictSame([...tree.chains().keys()], ['KUBE-PORTAL-10.96.0.0-28']);
  t.end();
});

t.test('if two redirects want one VIP, the first id gets it', (t) => {
  const packet: Packet = { family: 'IPv4', address: '10.0.0.1', protocol: 'TCP', port: 80 };
  const tree = treeOf('IPv4', [entryOf(packet, 'b'), entryOf(packet, 'a')]);
  t.match(walker(tree, 'IPv4')(packet).rule, /"a"/);
  tree.delete(entryOf(packet, 'a'));
  t.match(walker(tree, 'IPv4')(packet).rule, /"b"/);
  t.end();
});

t.test('many redirects that want one VIP are in one chain', (t) => {
  const packet: Packet = { family: 'IPv4', address: '10.0.0.1', protocol: 'TCP', port: 80 };
  const ids = Array.from({ length: 40 }, (_, i) => `claim-${String(i).padStart(2, '0')}`);
  const tree = treeOf(
    'IPv4',
    ids.map((id) => entryOf(packet, id)),
  );
  t.equal(tree.chains().size, 1);
  t.match(walker(tree, 'IPv4')(packet).rule, /"claim-00"/);
  t.end();
});

t.test('the guard has a tree of ports', (t) => {
  const tree = new ChainTree(portKeyspace);
  const rule = (port: number) => `-p udp -m udp --dport ${port} -j DROP`;
  const ports = Array.from({ length: 18 }, (_, i) => 20_000 + 2 * i);
  for (const port of ports) tree.add({ key: portKeyOf(port), id: `${port}`, rule: rule(port) });
  t.strictSame(tree.entrance(), ['-p udp -m udp --dport 19968:20223 -j KUBE-PORTALS-GUARD-19968-8']);
  t.strictSame(
    [...tree.chains().values()]
      .flat()
      .filter((text) => text.endsWith('DROP'))
      .sort(),
    ports.map(rule),
  );
  t.end();
});
