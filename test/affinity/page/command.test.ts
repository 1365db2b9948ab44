import t from 'tap';
import { KubePortal } from '../../lab/kubeportal.js';
import { serviceWithPods } from '../../lab/manifest.js';
import { countOf, unbalanced } from '../../lab/markuptext.js';
import { PORT_LIST, PORTS, runTester, stageFor, VIP } from '../stage.js';

t.setTimeout(0);

t.test('-o html prints the page of a run, with the exit code of its verdict', async (t) => {
  const { lab, pods } = await stageFor(t);
  const objects = serviceWithPods({ name: 'robot', clusterIPs: [VIP], ports: PORTS, affinity: true }, pods);
  await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'address'] });
  const args = [VIP, '--ports', PORT_LIST, '--clients', '198.18.0.0/29', '--rounds', '3', '-o', 'html'];
  const { code, stdout } = await runTester(lab.node, [...args, '--during', 'true <&-', '--settle', '0s']);
  t.equal(code, 0);
  t.match(stdout, /^<!doctype html>/);
  t.same(unbalanced(stdout), []);
  t.match(stdout, 'As expected, the affinity is ClientIP');
  t.match(stdout, '<code>true &#60;&#38;-</code>');
  t.equal(countOf(stdout, 'class="cell"'), 2 * 6 * 3);
  const unexpected = await runTester(lab.node, [...args, '--expect', 'None']);
  t.match(unexpected.stdout, 'Not as expected, the affinity is ClientIP instead of None');
  t.equal(unexpected.code, 1);
});
