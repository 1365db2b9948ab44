import './namespace.js';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import { firstPacketQueueOf, ownBit } from '../../lib/portal/carrier.js';
import { clearAll } from '../../lib/redirect/clear.js';
import { type RunCommand, runCommand } from '../../lib/redirect/command.js';
import type { CarrierSupport, Redirect } from '../../lib/redirect/driver.js';
import { IptablesDriver } from '../../lib/redirect/iptables.js';
import { apply } from './apply.js';
import { KINDS, type Kind, only, without } from './backends.js';
import { Pod, sh } from './namespace.js';
import { CARRIER } from './ownflows.js';
import { RELAYED } from './relayed.js';

const FAMILIES = ['IPv4', 'IPv6'] as const;
const PROTOCOLS = ['TCP', 'UDP'] as const;
const VIP = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' } as const;
const TABLES = { IPv4: 'iptables', IPv6: 'ip6tables' } as const;

t.setTimeout(0);

/** A driver that nobody has asked about the kernel carrier. */
async function openRelaying(t: Test, run: RunCommand): Promise<IptablesDriver> {
  const driver = await IptablesDriver.open({
    log: pino({ level: 'silent' }),
    run,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    proxyPortRange: { first: 1024, last: 65535 },
    carrier: CARRIER,
  });
  t.teardown(() => driver.clear());
  return driver;
}

async function open(t: Test, run: RunCommand): Promise<{ driver: IptablesDriver; support: CarrierSupport }> {
  const driver = await openRelaying(t, run);
  const support = await driver.openCarrier();
  t.equal(driver.wasDisturbed(), false, 'the driver knows its own probes');
  return { driver, support };
}

/** A port with a VIP and a NodePort, whose traffic the kernel carries. */
function carried(name: string, family: Family, protocol: Protocol, port: number, worker = 0): Redirect {
  const vips = [{ address: VIP[family], port }];
  return {
    id: `${name}/${protocol}/${family}`,
    label: `default/${name}:main`,
    protocol,
    family,
    vips,
    proxyPort: 41_000 + port,
    carriedVips: [...vips, { address: Pod.router[family], port: 30_000 + port }],
    carried: { queue: firstPacketQueueOf(protocol, worker, CARRIER) },
  };
}

/** One Service port in all four forms. */
function carriedInAllForms(name: string, port: number, worker?: number): Redirect[] {
  return FAMILIES.flatMap((family) =>
    PROTOCOLS.map((protocol) => carried(name, family, protocol, port, worker)),
  );
}

/** The rules of a table that others may have too, as the program of the back end prints them. */
function rulesOf(kind: Kind, family: Family, table: string): string[] {
  return sh(`${TABLES[family]}-${kind}-save`)
    .split(/^\*/m)
    .filter((text) => text.startsWith(`${table}\n`))
    .flatMap((text) => text.split('\n').filter((line) => line.startsWith('-A ')));
}

const ICMP = {
  IPv4: '-p icmp -m icmp --icmp-type 3',
  IPv6: '-p ipv6-icmp -m icmp6 --icmpv6-type 1',
} as const;
const IS_REFUSAL =
  '-p tcp -m tcp --tcp-flags RST,ACK RST,ACK -m conntrack --ctstate ESTABLISHED ! --ctstatus ASSURED --ctdir REPLY';

/** First in this file: to read a table makes it, and then it stays. */
for (const kind of KINDS) {
  t.test(`${kind}: tables that nothing needs are not made`, async (t) => {
    const driver = await openRelaying(t, only(kind));
    await apply(driver, { set: carriedInAllForms('web', 80), remove: [] });
    t.equal(await driver.audit(), 0);
    await driver.clear();
    await clearAll('/nonexistent', 0);
    for (const family of FAMILIES) {
      const tables = sh(`${TABLES[family]}-${kind}-save`)
        .match(/^\*\w+/gm)
        ?.sort();
      t.strictSame(tables, ['*filter', '*nat'], family);
    }
  });
}

for (const kind of KINDS) {
  t.test(`${kind}: first packets of connections wait in the portal's queue`, async (t) => {
    const { driver, support } = await open(t, only(kind));
    t.strictSame(support, { IPv4: null, IPv6: null });
    await apply(driver, { set: carriedInAllForms('web', 80, 1), remove: [] });
    for (const family of FAMILIES) {
      const length = family === 'IPv4' ? 32 : 128;
      const leaf = (address: string, port: number) =>
        `-A KUBE-PORTALS-SYN -d ${address}/${length} -p tcp -m tcp --dport ${port} ` +
        '-m comment --comment "default/web:main" -j NFQUEUE --queue-num 20481';
      t.strictSame(
        rulesOf(kind, family, 'raw').sort(),
        [
          leaf(Pod.router[family], 30_080),
          leaf(VIP[family], 80),
          '-A OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j KUBE-PORTALS-SYN',
          '-A PREROUTING ! -i lo -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j KUBE-PORTALS-SYN',
        ].sort(),
      );
    }
    t.equal(await driver.audit(), 0, 'what was programmed is what is wanted');
  });

  t.test(`${kind}: first datagrams wait in the portal's queue, and keep their source`, async (t) => {
    const { driver } = await open(t, only(kind));
    await apply(driver, { set: carriedInAllForms('web', 80, 1), remove: [] });
    for (const family of FAMILIES) {
      const length = family === 'IPv4' ? 32 : 128;
      const leaf = (address: string, port: number) =>
        `-A KUBE-PORTALS-UDP -d ${address}/${length} -p udp -m udp --dport ${port} ` +
        '-m comment --comment "default/web:main" -j KUBE-PORTALS-UDP-20489';
      const isFirst = '-p udp -m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT';
      t.strictSame(
        rulesOf(kind, family, 'mangle')
          .filter((rule) => rule.includes('KUBE-PORTALS-UDP'))
          .sort(),
        [
          leaf(Pod.router[family], 30_080),
          leaf(VIP[family], 80),
          ...[20_488, 20_489, 20_490, 20_491].flatMap((queue) => [
            `-A KUBE-PORTALS-UDP-${queue} -j CONNMARK --set-xmark 0x10000000/0x70000000`,
            `-A KUBE-PORTALS-UDP-${queue} -j NFQUEUE --queue-num ${queue}`,
          ]),
          `-A OUTPUT ${isFirst} -j KUBE-PORTALS-UDP`,
          `-A PREROUTING ! -i lo ${isFirst} -j KUBE-PORTALS-UDP`,
        ].sort(),
      );
      t.strictSame(
        rulesOf(kind, family, 'nat').filter((rule) => rule.includes('PASSING')),
        [
          '-A POSTROUTING -m connmark --mark 0x10000000/0x70000000 -j KUBE-PORTALS-PASSING',
          '-A KUBE-PORTALS-PASSING -j ACCEPT',
        ],
      );
    }
    t.equal(await driver.audit(), 0, 'what was programmed is what is wanted');
  });

  t.test(`${kind}: errors of carried flows wait in the queue of their worker`, async (t) => {
    const { driver } = await open(t, only(kind));
    await apply(driver, { set: FAMILIES.map((family) => carried('web', family, 'TCP', 80)), remove: [] });
    for (const family of FAMILIES) {
      const toChain = [
        `${IS_REFUSAL} -j KUBE-PORTALS-ERROR`,
        `${ICMP[family]} -m conntrack --ctstate RELATED -j KUBE-PORTALS-ERROR`,
      ];
      t.strictSame(
        rulesOf(kind, family, 'mangle').sort(),
        [
          ...toChain.map((jump) => `-A PREROUTING ! -i lo ${jump}`),
          ...toChain.map((jump) => `-A OUTPUT ${jump}`),
          ...(family === 'IPv4' ? ['-A KUBE-PORTALS-ERROR -p icmp -m icmp --icmp-type 3/4 -j RETURN'] : []),
          ...[4, 5, 6, 7].map(
            (digit, worker) =>
              `-A KUBE-PORTALS-ERROR -m connmark --mark 0x${digit}0000000/0x70000000 -j NFQUEUE --queue-num ${20_484 + worker} --queue-bypass`,
          ),
        ].sort(),
      );
    }
    t.equal(await driver.audit(), 0);
  });

  t.test(`${kind}: the rules are there only while the kernel carries something`, async (t) => {
    const { driver } = await open(t, only(kind));
    const tables = (family: Family) =>
      ['raw', 'mangle'].filter((table) => rulesOf(kind, family, table).length > 0);
    const keepsSources = () => rulesOf(kind, 'IPv4', 'nat').some((rule) => rule.includes('PASSING'));
    const relayed = { ...carried('relayed', 'IPv4', 'TCP', 81), ...RELAYED };
    await apply(driver, { set: [relayed], remove: [] });
    t.strictSame(tables('IPv4'), []);
    await apply(driver, { set: [carried('udp', 'IPv4', 'UDP', 80)], remove: [] });
    t.strictSame(tables('IPv4'), ['mangle'], 'UDP needs nothing of raw');
    t.ok(keepsSources());
    await apply(driver, { set: [carried('tcp', 'IPv4', 'TCP', 80)], remove: [] });
    t.strictSame(tables('IPv4'), ['raw', 'mangle']);
    t.strictSame(tables('IPv6'), [], 'the other family');
    await apply(driver, { set: [], remove: [carried('udp', 'IPv4', 'UDP', 80).id] });
    t.strictSame(tables('IPv4'), ['raw', 'mangle'], 'the last UDP port is gone');
    t.notOk(keepsSources());
    t.notMatch(rulesOf(kind, 'IPv4', 'mangle').join(), /KUBE-PORTALS-UDP/);
    await apply(driver, { set: [{ ...carried('tcp', 'IPv4', 'TCP', 80), ...RELAYED }], remove: [] });
    t.strictSame(tables('IPv4'), [], 'the last TCP port is relayed');
    t.equal(await driver.audit(), 0);
  });

  t.test(`${kind}: another queue for a portal changes its own rules only`, async (t) => {
    const scripts: string[] = [];
    const { driver } = await open(
      t,
      only(kind, (program, args, input) => {
        if (program.startsWith('iptables') && input !== undefined) scripts.push(input);
        return runCommand(program, args, input);
      }),
    );
    const ports = Array.from({ length: 100 }, (_, i) => carried(`s${i}`, 'IPv4', 'TCP', 80 + i));
    await apply(driver, { set: ports, remove: [] });
    scripts.length = 0;
    await apply(driver, { set: [carried('s50', 'IPv4', 'TCP', 130, 3)], remove: [] });
    const [script = ''] = scripts;
    t.equal(scripts.length, 1);
    t.strictSame(script.match(/^\*.*/gm), ['*raw']);
    t.equal(script.match(/--queue-num 20483/g)?.length, 2, 'the VIP and the NodePort');
    t.ok(script.split('\n').length < 40, `the chains of two rules: ${script.split('\n').length} lines`);
    t.equal(await driver.audit(), 0);
  });

  t.test(`${kind}: rules that another program breaks are repaired`, async (t) => {
    const { driver } = await open(t, only(kind));
    const many = Array.from({ length: 20 }, (_, i) => carriedInAllForms(`s${i}`, 80 + i)).flat();
    await apply(driver, { set: many, remove: [] });
    const all = () => sh(`iptables-${kind}-save; ip6tables-${kind}-save`).replace(/^#.*|\[\d+:\d+\]/gm, '');
    const good = all();
    const damages: Record<string, string[]> = {
      'raw flushed': ['-t raw -F', '-t raw -X'],
      'mangle flushed': ['-t mangle -F', '-t mangle -X'],
      'a jump removed from raw': [
        '-t raw -D OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j KUBE-PORTALS-SYN',
      ],
      'a jump removed from nat': [
        '-t nat -D POSTROUTING -m connmark --mark 0x10000000/0x70000000 -j KUBE-PORTALS-PASSING',
      ],
      'a chain emptied': ['-t mangle -F KUBE-PORTALS-ERROR'],
      'a rule in our chain': ['-t raw -I KUBE-PORTALS-SYN -p tcp -j ACCEPT'],
    };
    for (const [name, damage] of Object.entries(damages)) {
      for (const family of FAMILIES) {
        for (const args of damage) sh(`${TABLES[family]}-${kind} ${args}`);
        if (kind === 'nft') t.equal(driver.wasDisturbed(), !name.includes('rule in'), `${name}: noticed`);
      }
      t.ok((await driver.audit()) >= 2, name);
      t.equal(all(), good, `${name}: as before`);
      t.equal(await driver.audit(), 0, `${name}: once`);
    }
  });

  t.test(`${kind}: the rules of others come before ours where first packets wait, else after`, async (t) => {
    sh(`iptables-${kind} -t raw -A PREROUTING -s 192.0.2.1 -j DROP`);
    sh(`iptables-${kind} -t mangle -A PREROUTING -s 192.0.2.1 -j DROP`);
    t.teardown(() => sh(`iptables-${kind} -t raw -F; iptables-${kind} -t mangle -F`));
    const { driver } = await open(t, only(kind));
    await apply(driver, { set: carriedInAllForms('web', 80), remove: [] });
    const order = (table: string) =>
      rulesOf(kind, 'IPv4', table)
        .filter((rule) => rule.startsWith('-A PREROUTING'))
        .map((rule) => /KUBE-PORTALS-\w+/.exec(rule)?.[0].slice(13) ?? 'theirs');
    t.strictSame(order('raw'), ['theirs', 'SYN']);
    t.strictSame(order('mangle'), ['ERROR', 'ERROR', 'theirs', 'UDP']);
    sh(`iptables-${kind} -t raw -A PREROUTING -s 192.0.2.2 -j DROP`);
    sh(`iptables-${kind} -t mangle -A PREROUTING -s 192.0.2.2 -j DROP`);
    t.equal(await driver.audit(), 0, 'nobody fights for the last place');
    sh(`iptables-${kind} -t mangle -I PREROUTING -s 192.0.2.2 -j ACCEPT`);
    t.equal(await driver.audit(), 1);
    t.strictSame(order('mangle'), ['ERROR', 'ERROR', 'theirs', 'theirs', 'theirs', 'UDP']);
  });

  t.test(`${kind}: a killed run's rules are cleared`, async (t) => {
    const { driver: killed } = await open(t, only(kind));
    await apply(killed, { set: carriedInAllForms('web', 80), remove: [] });
    t.match(await clearAll('/nonexistent', ownBit(CARRIER.markMask)), [/^\d+ iptables chains/]);
    t.notMatch(sh(`iptables-${kind}-save; ip6tables-${kind}-save`), /KUBE-PORTAL/);
    t.strictSame(await clearAll('/nonexistent', ownBit(CARRIER.markMask)), []);
  });

  t.test(`${kind}: a killed run's rules go when the next one carries nothing`, async (t) => {
    const { driver: killed } = await open(t, only(kind));
    await apply(killed, { set: carriedInAllForms('web', 80), remove: [] });
    const next = await openRelaying(t, only(kind));
    await apply(next, { set: carriedInAllForms('web', 80), remove: [] });
    for (const family of FAMILIES) {
      t.strictSame(rulesOf(kind, family, 'raw'), []);
      t.strictSame(rulesOf(kind, family, 'mangle'), []);
    }
    t.equal(await next.audit(), 0);
  });

  for (const [word, names] of Object.entries({
    '*raw': [/the raw table \(CONFIG_IP6?_NF_RAW\)/],
    '*mangle': [/the mangle table \(CONFIG_IP6?_NF_MANGLE\)/],
    NFQUEUE: [/the target NFQUEUE \(CONFIG_NETFILTER_XT_TARGET_NFQUEUE\)/],
    connmark: [/the match connmark \(CONFIG_NETFILTER_XT_MATCH_CONNMARK\)/],
    CONNMARK: [/the target CONNMARK \(CONFIG_NETFILTER_XT_TARGET_CONNMARK\)/],
    ctdir: [/the match conntrack \(CONFIG_NETFILTER_XT_MATCH_CONNTRACK\)/],
  })) {
    t.test(`${kind}: without ${word} workers relay, and the reason is said`, async (t) => {
      const { driver, support } = await open(t, only(kind, without(word)));
      for (const family of FAMILIES) {
        for (const name of names) t.match(support[family], name);
        t.match(
          support[family],
          new RegExp(`^workers relay ${family} traffic, because .* lacks [^,]*; load`),
        );
      }
      await apply(driver, { set: carriedInAllForms('web', 80), remove: [] });
      for (const family of FAMILIES) {
        t.strictSame(rulesOf(kind, family, 'raw'), []);
        t.strictSame(rulesOf(kind, family, 'mangle'), []);
      }
      t.equal(await driver.audit(), 0);
    });
  }

  t.test(`${kind}: one family may lack what the other has`, async (t) => {
    const refuse = without('*raw');
    const { driver, support } = await open(
      t,
      only(kind, (program, args, input) =>
        (program.startsWith('ip6') ? refuse : runCommand)(program, args, input),
      ),
    );
    t.equal(support.IPv4, null);
    t.match(support.IPv6, /CONFIG_IP6_NF_RAW/);
    await apply(driver, { set: carriedInAllForms('web', 80), remove: [] });
    t.equal(rulesOf(kind, 'IPv4', 'raw').length, 4);
    t.strictSame(rulesOf(kind, 'IPv6', 'raw'), []);
    t.equal(await driver.audit(), 0);
  });
}
