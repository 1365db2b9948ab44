import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { startDnsmasq, startNginx } from '../lab/servers.js';

/** Longer than the 30 s after which conntrack and kube-portal forget a UDP flow that was never answered. */
const IDLE_MS = 60_000;
const REPLICAS = ['a', 'b', 'c'];
const WEB: ServiceOptions = {
  name: 'web',
  clusterIPs: ['10.96.0.10', 'fd00:96::10'],
  ports: [{ port: 80 }],
};
const DNS: ServiceOptions = {
  name: 'dns',
  clusterIPs: ['10.96.0.53', 'fd00:96::53'],
  ports: [
    { name: 'dns', protocol: 'UDP', port: 53 },
    { name: 'dns-tcp', protocol: 'TCP', port: 53 },
  ],
};
/** iperf3 talks about a UDP test over TCP, so both must meet the same replica. */
const IPERF: ServiceOptions = {
  name: 'iperf',
  clusterIPs: ['10.96.0.52', 'fd00:96::52'],
  affinity: true,
  ports: [
    { name: 'control', protocol: 'TCP', port: 5201 },
    { name: 'data', protocol: 'UDP', port: 5201 },
  ],
};
const ECHO: ServiceOptions = {
  name: 'echo',
  clusterIPs: ['10.96.0.7'],
  ports: [
    { name: 'tcp', protocol: 'TCP', port: 7 },
    { name: 'udp', protocol: 'UDP', port: 7 },
  ],
};
const SERVICES = [WEB, DNS, IPERF, ECHO];

// Before the first await: the set-up counts too.
t.setTimeout(0);

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-programs-'));
t.teardown(() => rmSync(directory, { recursive: true }));
const photo = randomBytes(5_000_000);
const LONG_TEXT = Array.from({ length: 10 }, (_, i) => String(i).repeat(200)).join(',');
const RECORDS = ['--address=/robot.example/192.0.2.7', `--txt-record=long.example,${LONG_TEXT}`];

async function startIperf(pod: Pod): Promise<void> {
  await pod.spawn('iperf3', ['--server', '--forceflush']).waitForOutput(/listening on 5201/);
}

async function startServers(pod: Pod): Promise<void> {
  await Promise.all([startNginx(pod, directory), startDnsmasq(pod, ...RECORDS), startIperf(pod)]);
  writeFileSync(join(directory, pod.name, 'photo'), photo);
  await startBackend(pod, { tcp: { 7: 'echo' }, udp: { 7: 'echo' } });
}

function inUrl(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

const lab = await Lab.forTest(t, { pods: ['client', ...REPLICAS] });
const client = lab.pod('client');
const pods = REPLICAS.map((name) => lab.pod(name));
await Promise.all(pods.map(startServers));
await KubePortal.forTest(t, lab.node, {
  objects: SERVICES.flatMap((options) => serviceWithPods(options, pods)),
});

t.jobs = 4;

t.test('curl reaches nginx', { buffered: true }, async (t) => {
  for (const address of WEB.clusterIPs) {
    const name = `http://${inUrl(address)}/name`;
    const names: string[] = [];
    for (let i = 0; i < 6; i++) names.push(await client.must('curl', ['-sSf', name]));
    t.same(names.sort(), ['a\n', 'a\n', 'b\n', 'b\n', 'c\n', 'c\n'], `${address}: in turn`);

    const reused = (await client.must('curl', ['-sSf', name, name, name, name])).split('\n');
    t.equal(new Set(reused.slice(0, 4)).size, 1, `${address}: one connection, one replica`);

    const file = join(directory, 'download');
    const url = `http://${inUrl(address)}/photo`;
    await client.must('curl', ['-sSf', '--limit-rate', '20M', '--output', file, url]);
    await client.must('cmp', [file, join(directory, 'a', 'photo')]);
  }
});

t.test('dig reaches dnsmasq', { buffered: true }, async (t) => {
  for (const address of DNS.clusterIPs) {
    const digInFull = (...args: string[]) => client.must('dig', ['+tries=1', `@${address}`, ...args]);
    const dig = (...args: string[]) => digInFull('+short', ...args);
    t.equal(await dig('robot.example'), '192.0.2.7\n', `${address}: UDP`);
    t.equal(await dig('+tcp', 'robot.example'), '192.0.2.7\n', `${address}: TCP`);

    const long = await dig('long.example', 'TXT');
    t.match(long, /^"0{200}" .*"9{200}"\n$/, `${address}: the long answer`);
    const truncated = await digInFull('+ignore', 'long.example', 'TXT');
    t.match(truncated, /flags: [a-z ]*\btc\b/, `${address}: which UDP cannot carry, so it came over TCP`);

    const who = await Promise.all(Array.from({ length: 9 }, () => dig('who.example', 'TXT')));
    t.equal(new Set(who).size, 3, `${address}: by every replica`);
  }
});

interface IperfReport {
  readonly error?: string;
  readonly end: {
    readonly sum_received?: { readonly bytes: number };
    readonly sum_received_bidir_reverse?: { readonly bytes: number };
    readonly sum?: { readonly lost_packets: number; readonly packets: number };
  };
}

t.test('iperf3 measures TCP and UDP', { buffered: true }, async (t) => {
  for (const address of IPERF.clusterIPs) {
    const iperf = async (...args: string[]) =>
      JSON.parse(await client.must('iperf3', ['--json', '--client', address, ...args])) as IperfReport;
    for (const args of [[], ['-R'], ['-P', '4'], ['-P', '4', '-R'], ['--bidir']]) {
      const { error, end } = await iperf('-t', '1', '-b', '1G', ...args);
      t.equal(error, undefined);
      const received = [end.sum_received, end.sum_received_bidir_reverse].filter((sum) => sum !== undefined);
      t.equal(received.length, args.includes('--bidir') ? 2 : 1);
      for (const { bytes } of received)
        t.ok(bytes > 1_000_000, `${address} ${args.join(' ')}: ${bytes} bytes`);
    }
    for (const args of [[], ['-R']]) {
      const { error, end } = await iperf('-u', '-b', '10M', '-n', '1M', ...args);
      t.equal(error, undefined);
      t.ok((end.sum?.packets ?? 0) > 100, `${address} -u ${args.join(' ')}`);
      t.equal(end.sum?.lost_packets, 0, `${address} -u ${args.join(' ')}`);
    }
  }
});

t.test('conversations go on after a minute without data', { buffered: true }, async (t) => {
  const [address] = ECHO.clusterIPs;
  const talks = ['TCP', 'UDP'].map((kind) => client.spawn('socat', ['STDIO', `${kind}4:${address}:7`]));
  for (const talk of talks) await say(talk, 'before');
  await sleep(IDLE_MS);
  for (const talk of talks) {
    await say(talk, 'after');
    t.equal(talk.stdout, 'before\nafter\n');
  }
});

async function say(talk: Program, word: string): Promise<void> {
  talk.write(`${word}\n`);
  await talk.waitForOutput(new RegExp(`^${word}$`, 'm'));
}

// The programs of the lab keep this process alive; its end, which ends them, must be asked for.
t.end();
