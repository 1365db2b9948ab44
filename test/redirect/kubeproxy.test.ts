import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createRedirectDriver, type RedirectMode } from '../../lib/redirect/create.js';
import { sh } from './namespace.js';
import { CARRIER } from './ownflows.js';

t.setTimeout(0);

/** As a kube-proxy of mode iptables leaves them when it is killed. */
const KUBE_PROXY = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SVC-ERIFXISQEP7F7OF4 - [0:0]
:KUBE-SEP-5MXPM55VLN7O52FQ - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j KUBE-SVC-ERIFXISQEP7F7OF4
-A KUBE-SVC-ERIFXISQEP7F7OF4 -j KUBE-SEP-5MXPM55VLN7O52FQ
-A KUBE-SEP-5MXPM55VLN7O52FQ -p tcp -m tcp -j DNAT --to-destination 10.244.0.5:53
COMMIT
`;
/** Of the kubelet and of kube-router: they belong there. */
const OTHERS = `*filter
:KUBE-FIREWALL - [0:0]
:KUBE-ROUTER-INPUT - [0:0]
:KUBE-POD-FW-ERIFXISQEP7F7OF4 - [0:0]
COMMIT
*nat
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-MARK-MASQ - [0:0]
COMMIT
`;

/** The warnings of a start. */
async function warningsOf(t: Test, mode: RedirectMode): Promise<Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) };
  const driver = await createRedirectDriver(mode, {
    log: pino({ level: 'warn' }, stream),
    stateDir: t.testdir(),
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    proxyPortRange: { first: 20_000, last: 29_999 },
    carrier: CARRIER,
  });
  await driver.clear();
  return lines.filter(({ msg }) => /kube-proxy/.test(String(msg)));
}

for (const mode of ['iptables', 'address', 'auto'] as const) {
  t.test(`${mode}: a warning names the rules of kube-proxy, and how to remove them`, async (t) => {
    sh('iptables-restore --noflush', OTHERS);
    t.same(await warningsOf(t, mode), [], 'others have chains of such names too');
    sh('iptables-restore --noflush', KUBE_PROXY);
    t.match(await warningsOf(t, mode), [
      { found: /^4 iptables chains \(\w+\)$/, msg: /stop kube-proxy, then run "kube-proxy --cleanup"/ },
    ]);
    sh('iptables -t nat -F; iptables -t nat -X; iptables -F; iptables -X');
  });
}

t.test('the warning names the device of the ipvs mode too', async (t) => {
  sh('ip link add kube-ipvs0 type bridge');
  t.match(await warningsOf(t, 'iptables'), [{ found: 'the device kube-ipvs0' }]);
  sh('ip link del kube-ipvs0');
});
