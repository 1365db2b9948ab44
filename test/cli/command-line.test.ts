import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { runFlagsOf } from '../../lib/cli/run-flags.js';

// It starts the program dozens of times.
t.setTimeout(0);

const BIN = 'bin/kube-portal';

function kubePortal(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

t.test('--version prints the version of the package', (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  t.same(kubePortal('--version'), { status: 0, stdout: `${version}\n`, stderr: '' });
  t.end();
});

t.test('--help names every command', (t) => {
  const { status, stdout } = kubePortal('--help');
  t.equal(status, 0);
  for (const command of ['run', 'status', 'sessions', 'quickstart'])
    t.match(stdout, new RegExp(`^  ${command} `, 'm'));
  t.end();
});

t.test('an error for a too low limit of open files says which limit is enough', (t) => {
  for (const limit of [32, 255]) {
    const command = [`--nofile=${limit}`, process.execPath, BIN, '--version'];
    const { status, stderr } = spawnSync('prlimit', command, { encoding: 'utf8' });
    t.equal(status, 1);
    t.equal(
      stderr,
      `error: the hard limit of open files is ${limit}, and kube-portal needs 256: raise it (ulimit -Hn, LimitNOFILE)\n`,
    );
  }
  t.end();
});

t.test('run --help groups the flags and explains each', (t) => {
  const { status, stdout } = kubePortal('run', '--help');
  t.equal(status, 0);
  const groups: Record<string, string[]> = {
    'What to serve:': ['--manifest', '--hostname-override'],
    'How traffic gets here:': [
      '--redirect',
      '--iptables-sync-period',
      '--bind-address',
      '--proxy-port-range',
      '--nodeport-addresses',
    ],
    'How traffic is relayed:': ['--workers', '--udp-timeout'],
    'Connection tracking of the kernel (with iptables only; without a flag, a setting stays as it is):': [
      '--conntrack-max-per-core',
      '--conntrack-min',
      '--conntrack-tcp-timeout-established',
      '--conntrack-tcp-timeout-close-wait',
      '--conntrack-tcp-be-liberal',
      '--conntrack-udp-timeout',
      '--conntrack-udp-timeout-stream',
    ],
    'What can be watched:': ['--healthz-bind-address', '--metrics-bind-address', '-v, --v'],
    'Start and stop:': ['--state-dir', '--drain-timeout', '--keep-rules', '--cleanup'],
  };
  for (const [group, flags] of Object.entries(groups)) {
    const section = stdout.slice(stdout.indexOf(group)).split('\n\n', 1)[0]!;
    for (const flag of flags)
      t.match(section, new RegExp(`^  ${flag}.* {2}\\S`, 'm'), `${flag} is in "${group}"`);
  }
  t.end();
});

t.test(
  'a wrong command line gives exit code 2, and the error names flag, value and what is accepted',
  (t) => {
    const cases: readonly [args: string[], message: RegExp][] = [
      [['run', '--workers', '99'], /--workers <number>' argument '99'.*from 1 to 64/],
      [['run', '--udp-timeout=3'], /--udp-timeout <duration>' argument '3'.*such as 250ms/],
      [
        ['run', '--drain-timeout=1000h'],
        /--drain-timeout <duration>' argument '1000h'.*not over 576h \(24 days\)/,
      ],
      [['run', '--redirect=ipvs'], /--redirect <mode>' argument 'ipvs'.*auto, iptables, address, none/],
      [['run', '--healthz-bind-address', '::1:1'], /--healthz-bind-address.*'::1:1'.*\[::1\]:10249/],
      [['run', '--carrier=ebpf'], /--carrier <mode>' argument 'ebpf'.*auto, kernel, relay/],
      [['run', '--carrier-mark-mask=0x50000000'], /'0x50000000'.*three adjacent bits/],
      [['run', '--carrier-mark-mask=0x700000000'], /'0x700000000'.*three adjacent bits/],
      [['run', '--carrier-queue=65525'], /--carrier-queue <number>' argument '65525'.*from 0 to 65524/],
      [['run', '--masquerade-all=maybe'], /--masquerade-all .*'maybe'.*true or false/],
      [['run', '--no-such-flag'], /unknown option '--no-such-flag'/],
      [['run'], /give --kubeconfig to follow an API server, or --manifest/],
      [['run', '--manifest=x', '--nodeport-addresses=primary'], /primary: with --manifest there is no Node/],
      [['serve'], /unknown command 'serve'/],
      [['status', '--metrics-bind-address='], /--metrics-bind-address/],
      [['sessions', '--metrics-bind-address='], /--metrics-bind-address: there must be an address/],
    ];
    for (const [args, message] of cases) {
      const { status, stderr } = kubePortal(...args);
      t.equal(status, 2, args.join(' '));
      t.match(stderr, message);
    }
    t.end();
  },
);

t.test('flags have the documented defaults', (t) => {
  t.match(runFlagsOf([]), {
    manifest: [],
    redirect: 'auto',
    iptablesSyncPeriod: 30_000,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    proxyPortRange: { first: 20_000, last: 29_999 },
    nodeportAddresses: [],
    carrier: 'auto',
    carrierMarkMask: 0x7000_0000,
    carrierQueue: 20_480,
    masqueradeAll: undefined,
    healthzBindAddress: { host: '0.0.0.0', port: 10_256 },
    metricsBindAddress: { host: '127.0.0.1', port: 10_249 },
    v: 0,
    stateDir: '/run/kube-portal',
    drainTimeout: 5_000,
    udpTimeout: undefined,
    keepRules: undefined,
    cleanup: undefined,
  });
  const { workers } = runFlagsOf([]);
  t.ok(workers >= 1 && workers <= 4, 'workers: half as many as cores, from 1 to 4');
  t.end();
});

t.test('a flag takes its value after a space or an equals sign, and repeated flags add up', (t) => {
  const flags = runFlagsOf([
    ...['--manifest', 'a.yaml', '--manifest=b'],
    ...['--bind-address', '192.168.1.10', '--bind-address=fd00::1'],
    ...['--nodeport-addresses', '10.0.0.0/8', '--nodeport-addresses=fd00::/8'],
    ...['-v', '4', '--metrics-bind-address='],
  ]);
  t.match(flags, {
    manifest: ['a.yaml', 'b'],
    bindAddress: { IPv4: '192.168.1.10', IPv6: 'fd00::1' },
    nodeportAddresses: ['10.0.0.0/8', 'fd00::/8'],
    v: 4,
    metricsBindAddress: 'off',
  });
  for (const spelling of ['--v=6', '-v=6', '-v6']) {
    t.equal(runFlagsOf([spelling]).v, 6, `${spelling}, a spelling of klog`);
  }
  t.end();
});
