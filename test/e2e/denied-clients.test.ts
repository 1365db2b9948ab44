import t, { type Test } from 'tap';
import { FAMILIES, type Family } from '../../lib/net/address.js';
import { askTcp } from '../lab/client.js';
import type { Pod } from '../lab/lab.js';
import { nameIn } from '../lab/tally.js';
import {
  ACCEPT_ESTABLISHED,
  addRules,
  addressOf,
  PORT,
  type Stage,
  seenByTcp,
  seenByUdp,
  stageFor,
  VIPS,
} from './foreign-rules.js';

/** What an engine of NetworkPolicies may do with a client that it forbids: it gets through to nobody. */
t.setTimeout(0);

/** curl(1), exit codes. */
const [REFUSED, TIMED_OUT] = [7, 28];

/** By target of iptables: how curl ends. */
const DENIALS = { REJECT: REFUSED, 'REJECT --reject-with tcp-reset': REFUSED, DROP: TIMED_OUT };

/** The pods that twelve connections reach, each once for each connection. */
async function names(client: Pod, family: Family): Promise<string> {
  const replies = await askTcp(client, { address: VIPS[family], port: PORT, send: '?', times: 12 });
  return replies
    .map(({ text, outcome }) => (text === '' ? outcome : nameIn(text)))
    .sort()
    .join('');
}

/** How some connections of curl end at once, each once. */
async function exitCodes(client: Pod, family: Family): Promise<(number | null)[]> {
  const url = family === 'IPv4' ? `http://${VIPS.IPv4}` : `http://[${VIPS.IPv6}]`;
  const curl = () => client.exec('curl', ['--silent', '--max-time', '5', url]);
  const results = await Promise.all(Array.from({ length: 6 }, curl));
  return [...new Set(results.map(({ code }) => code))];
}

/** Nobody but the stranger notices anything. */
async function othersAreServed(t: Test, { client, kubePortal }: Stage, family: Family): Promise<void> {
  t.equal(await names(client, family), 'aaaaaabbbbbb', `others meet all endpoints, ${family}`);
  t.same(await seenByTcp(client, family), [addressOf(client, family)], `others are carried, ${family}`);
  t.same(await seenByUdp(client, family), [addressOf(client, family)], `others by UDP, ${family}`);
  const blamed = kubePortal.log.filter(
    ({ msg, reason }) => /^endpoint failed/.test(msg) && reason !== 'no answer to one client',
  );
  t.same(blamed, [], `no endpoint is blamed, ${family}`);
}

for (const [denial, code] of Object.entries(DENIALS)) {
  t.test(`a client that is forbidden by ${denial} gets through to nobody, and blames nobody`, async (t) => {
    const stage = await stageFor(t, { link: 'point to point', pods: ['a', 'b'] });
    const { lab } = stage;
    const stranger = await lab.addPod('stranger');
    for (const family of FAMILIES) {
      const from = `-s ${addressOf(stranger, family)} -p tcp`;
      await addRules(lab.node, family, [
        `-A FORWARD ${ACCEPT_ESTABLISHED}`,
        `-A FORWARD ${from} -j ${denial}`,
      ]);
      t.same(await exitCodes(stranger, family), [code], `curl's exit code, ${family}`);
      await othersAreServed(t, stage, family);
    }
  });
}

for (const denial of ['REJECT', 'DROP']) {
  t.test(`datagrams that are forbidden by ${denial} get through to nobody, and blame nobody`, async (t) => {
    const stage = await stageFor(t, { link: 'point to point', pods: ['a', 'b'] });
    const { lab } = stage;
    const stranger = await lab.addPod('stranger');
    for (const family of FAMILIES) {
      // The first datagram of a flow comes back from user space, so it is one that the node sends.
      for (const chain of ['FORWARD', 'OUTPUT']) {
        const from = `-s ${addressOf(stranger, family)} -p udp`;
        await addRules(lab.node, family, [
          `-A ${chain} ${ACCEPT_ESTABLISHED}`,
          `-A ${chain} ${from} -j ${denial}`,
        ]);
      }
      const answers = await seenByUdp(stranger, family);
      t.same(
        answers.filter((answer) => !/^(silence|ECONNREFUSED)$/.test(answer)),
        [],
        `no answer, ${family}`,
      );
      await othersAreServed(t, stage, family);
    }
  });
}
