import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import t from 'tap';
import { parse } from 'yaml';
import { parseConfigFile } from '../../lib/cli/config-file.js';
import { effectiveFlags } from '../../lib/cli/effective-flags.js';
import { addRunFlags, runFlagsOf } from '../../lib/cli/run-flags.js';

const HEAD = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';

/** The file that kubeadm writes: it has every field, and most are empty. */
const KUBEADM = (
  parse(readFileSync('test/deploy/kubeadm-configmap.yaml', 'utf8')) as { data: Record<string, string> }
).data['config.conf']!;

function effective(
  t: { teardown(run: () => void): unknown },
  args: readonly string[],
  config?: string | Buffer,
) {
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-config-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'config.conf');
  if (config !== undefined) writeFileSync(path, config);
  const command = addRunFlags(new Command('run').exitOverride());
  command.parse(config === undefined ? args : [...args, '--config', path], { from: 'user' });
  const { flags, notes } = effectiveFlags(command, runFlagsOf([]));
  return { flags, notes: notes.map((note) => note.replace(path, 'FILE')) };
}

t.test("kubeadm's configuration is used without a warning", async (t) => {
  t.same(parseConfigFile(KUBEADM), {
    flags: {
      bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
      kubeconfig: '/var/lib/kube-proxy/kubeconfig.conf',
      clusterCidr: ['10.244.0.0/16'],
    },
    ignored: [],
  });
});

t.test('every field with an effect sets its flag', async (t) => {
  const { flags, ignored } = parseConfigFile(`${HEAD}
bindAddress: 192.0.2.1
clusterCIDR: 10.244.0.0/16,fd00:244::/64
conntrack:
  maxPerCore: 0
  min: 0
  tcpEstablishedTimeout: 24h
  tcpCloseWaitTimeout: 1h0m0s
  tcpBeLiberal: true
  udpTimeout: 10s
  udpStreamTimeout: 1m
healthzBindAddress: 127.0.0.1
hostnameOverride: robot-7
iptables: { masqueradeAll: true, syncPeriod: 1m }
metricsBindAddress: "[::1]:9000"
mode: ipvs
ipvs: { scheduler: rr }
nodePortAddresses: [192.0.2.0/24, 198.51.100.0/24]
oomScoreAdj: -999
portRange: 30000-30999
udpIdleTimeout: 250ms
`);
  t.same(flags, {
    bindAddress: { IPv4: '192.0.2.1', IPv6: '::' },
    clusterCidr: ['10.244.0.0/16', 'fd00:244::/64'],
    conntrackMaxPerCore: 0,
    conntrackMin: 0,
    conntrackTcpTimeoutEstablished: 86_400_000,
    conntrackTcpTimeoutCloseWait: 3_600_000,
    conntrackTcpBeLiberal: true,
    conntrackUdpTimeout: 10_000,
    conntrackUdpTimeoutStream: 60_000,
    healthzBindAddress: { host: '127.0.0.1', port: 10256 },
    hostnameOverride: 'robot-7',
    iptablesSyncPeriod: 60_000,
    masqueradeAll: true,
    metricsBindAddress: { host: '::1', port: 9000 },
    nodeportAddresses: ['192.0.2.0/24', '198.51.100.0/24'],
    oomScoreAdj: -999,
    proxyPortRange: { first: 30000, last: 30999 },
    udpTimeout: 250,
  });
  t.same(ignored, ['mode', 'ipvs.scheduler']);
});

t.test('an address without a port gets the default port', async (t) => {
  const target = (text: string) =>
    parseConfigFile(`${HEAD}metricsBindAddress: "${text}"`).flags.metricsBindAddress;
  t.same(target('0.0.0.0'), { host: '0.0.0.0', port: 10249 });
  t.same(target('::'), { host: '::', port: 10249 });
  t.same(target('[::]'), { host: '::', port: 10249 });
  t.same(target('[::]:1'), { host: '::', port: 1 });
});

t.test('servers without an address have the family of bindAddress', async (t) => {
  const servers = (text: string) => {
    const { healthzBindAddress, metricsBindAddress } = parseConfigFile(HEAD + text).flags;
    return [healthzBindAddress, metricsBindAddress];
  };
  const six = [
    { host: '::', port: 10256 },
    { host: '::1', port: 10249 },
  ];
  t.same(servers('bindAddress: "::"\nhealthzBindAddress: ""\n'), six);
  t.same(servers('bindAddress: fd00::1\n'), six);
  t.same(servers('bindAddress: 192.0.2.1\n'), [undefined, undefined]);
  t.same(servers('bindAddress: "::"\nmetricsBindAddress: 127.0.0.1\n')[1], {
    host: '127.0.0.1',
    port: 10249,
  });
});

t.test('the error for a wrong file names the field and the reason', async (t) => {
  t.throws(() => parseConfigFile('kind: KubeProxyConfiguration'), {
    message: 'apiVersion is not kubeproxy.config.k8s.io/v1alpha1',
  });
  t.throws(() => parseConfigFile(`${HEAD}iptables: { syncPeriod: often }`), {
    message: /^iptables\.syncPeriod: 'often' is not understood\. Give a duration/,
  });
  const conntrack = (fields: string) => () => parseConfigFile(`${HEAD}conntrack: { ${fields} }`);
  t.throws(conntrack('min: -1'), {
    message: /^conntrack\.min: '-1' is not understood\. Give a whole number/,
  });
  t.throws(conntrack('udpTimeout: 10ms'), { message: /^conntrack\.udpTimeout: '10ms' .* at least 1s/ });
  t.throws(conntrack('tcpBeLiberal: yes'), {
    message: /^conntrack\.tcpBeLiberal: 'yes' .* Give true or false/,
  });
  t.throws(() => parseConfigFile('{'));
  t.throws(() => effective(t, [], 'kind: Pod'), { message: /^--config .*config\.conf: apiVersion is not/ });
  t.throws(() => effective(t, ['--config', '/nowhere']), { message: /^--config \/nowhere: ENOENT/ });
});

t.test('the file replaces the flags for which it has a field, and a note says so', async (t) => {
  const args = [
    '--metrics-bind-address=127.0.0.1:1',
    '--conntrack-udp-timeout=5s',
    '--hostname-override=mine',
    '--workers=1',
    '-v',
    '4',
  ];
  const { flags, notes } = effective(t, args, `${HEAD}hostnameOverride: theirs\nmode: ipvs\n`);
  t.match(flags, {
    metricsBindAddress: { host: '127.0.0.1', port: 10249 },
    hostnameOverride: 'mine',
    workers: 1,
    v: 4,
  });
  t.same(notes, [
    '--config replaces these flags: --conntrack-udp-timeout --metrics-bind-address',
    'fields of FILE without a meaning here: mode',
  ]);
  t.equal(flags.conntrackUdpTimeout, undefined);
  t.equal(effective(t, [], `${HEAD}hostnameOverride: theirs`).flags.hostnameOverride, 'theirs');
});

t.test('a file in UTF-16 is read, as PowerShell writes it', async (t) => {
  const config = Buffer.from(`\ufeff${HEAD}hostnameOverride: théirs\n`.replaceAll('\n', '\r\n'), 'utf16le');
  t.equal(effective(t, [], config).flags.hostnameOverride, 'théirs');
});

t.test('without a file, the command line is used', async (t) => {
  const { flags, notes } = effective(t, ['--cluster-cidr=10.0.0.0/8', '--oom-score-adj=-500']);
  t.match(flags, { clusterCidr: ['10.0.0.0/8'], oomScoreAdj: -500 });
  t.same(notes, []);
});

t.test("kube-proxy's other flags are accepted, and one line names them", async (t) => {
  const args = [
    '--proxy-mode=iptables',
    '--profiling=false',
    '--feature-gates=A=true,B=false',
    '--ipvs-scheduler',
    'rr',
    '--kube-api-qps=5',
    '--logging-format=json',
    '--v=2',
  ];
  const { flags, notes } = effective(t, args);
  t.equal(flags.v, 2);
  t.same(notes, [
    'flags of kube-proxy without a meaning here: --feature-gates --ipvs-scheduler ' +
      '--kube-api-qps --logging-format --profiling --proxy-mode',
  ]);
});

t.test("kube-proxy's --masquerade-all has the same meaning, as a flag and in the file", async (t) => {
  const masqueradeAll = (args: string[], config?: string) => effective(t, args, config).flags.masqueradeAll;
  t.equal(masqueradeAll(['--masquerade-all']), true);
  t.equal(masqueradeAll(['--masquerade-all=false']), false);
  for (const mode of ['iptables', 'nftables']) {
    t.equal(masqueradeAll([], `${HEAD}${mode}: { masqueradeAll: true }\n`), true, mode);
  }
  t.equal(masqueradeAll(['--masquerade-all'], HEAD), undefined, 'the file replaces the flag');
});

t.test("kube-proxy's flags for connection tracking have the same meaning", async (t) => {
  const { flags, notes } = effective(t, [
    '--conntrack-max-per-core=0',
    '--conntrack-min=65536',
    '--conntrack-tcp-timeout-established=24h',
    '--conntrack-tcp-timeout-close-wait=0s',
    '--conntrack-tcp-be-liberal',
    '--conntrack-udp-timeout=5s',
    '--conntrack-udp-timeout-stream=1m',
  ]);
  t.match(flags, {
    conntrackMaxPerCore: 0,
    conntrackMin: 65_536,
    conntrackTcpTimeoutEstablished: 86_400_000,
    conntrackTcpTimeoutCloseWait: 0,
    conntrackTcpBeLiberal: true,
    conntrackUdpTimeout: 5000,
    conntrackUdpTimeoutStream: 60_000,
  });
  t.same(notes, []);
  t.equal(effective(t, ['--conntrack-tcp-be-liberal=false']).flags.conntrackTcpBeLiberal, false);
});
