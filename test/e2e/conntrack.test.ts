import { join } from 'node:path';
import t from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';

t.setTimeout(0);

const CLOSE_WAIT = '/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait';
const UDP = '/proc/sys/net/netfilter/nf_conntrack_udp_timeout';
const MAX = '/proc/sys/net/netfilter/nf_conntrack_max';
const CONFIG = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: { maxPerCore: 0, tcpCloseWaitTimeout: 1h, udpTimeout: 7s }
`;

/** As in a container that is not privileged. Flags that /proc may have must stay, mount_namespaces(7). */
const READ_ONLY = [
  'unshare',
  '--mount',
  'sh',
  '-ec',
  'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro,nosuid,nodev,noexec /proc/sys; exec "$@"',
  'sh',
] as const;

t.test('connection tracking gets the settings of the configuration', async (t) => {
  const lab = await Lab.forTest(t);
  const config = join(t.testdir({ 'config.conf': CONFIG }), 'config.conf');
  const values = async () => (await lab.node.must('cat', [CLOSE_WAIT, UDP])).trim().split('\n');
  const before = await values();
  t.not(before.join(), '3600,7');
  const start = (t: Tap, driver: string, more: object = {}) =>
    KubePortal.forTest(t, lab.node, { flags: [`--redirect=${driver}`, '--config', config], ...more });
  const notChanged = ({ log }: KubePortal) => log.filter(({ msg }) => /tracking: not changed/.test(msg));

  await t.test('the address driver changes no setting', async (t) => {
    const kubePortal = await start(t, 'address');
    t.same([await values(), notChanged(kubePortal)], [before, []]);
  });

  await t.test('with a read-only /proc/sys, one line for each setting says so', async (t) => {
    const kubePortal = await start(t, 'iptables', { launcher: READ_ONLY });
    t.same(await values(), before);
    t.match(notChanged(kubePortal), [
      { file: CLOSE_WAIT, value: 3600, reason: /^EROFS/, msg: /echo 3600 > / },
      { file: UDP, value: 7, reason: /^EROFS/ },
    ]);
    t.equal(notChanged(kubePortal).length, 2);
  });

  await t.test('with a writable /proc/sys, the settings are written', async (t) => {
    const kubePortal = await start(t, 'iptables');
    t.same(await values(), ['3600', '7']);
    t.same(notChanged(kubePortal), []);
    await kubePortal.stop();
    t.same(await values(), ['3600', '7'], 'and stay');
  });

  await t.test('settings that are right already give no line', async (t) => {
    const kubePortal = await start(t, 'iptables', { launcher: READ_ONLY });
    t.same(notChanged(kubePortal), []);
  });

  await t.test('only the first namespace of the machine can set the limit of entries', async (t) => {
    const limit = Number(await lab.node.must('cat', [MAX])) + 1;
    const flags = ['--redirect=iptables', '--conntrack-max-per-core=1', `--conntrack-min=${limit}`];
    const kubePortal = await KubePortal.forTest(t, lab.node, { flags });
    t.match(notChanged(kubePortal)[0], {
      level: 40,
      file: MAX,
      value: limit,
      msg: new RegExp(`${limit} > ${MAX}`),
    });
    t.equal(Number(await lab.node.must('cat', [MAX])), limit - 1);
  });
});

type Tap = Pick<typeof t, 'teardown'>;
