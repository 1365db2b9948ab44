import t from 'tap';
import { median } from '../../bench/median.js';
import { REFERENCES, referenceValue } from '../../bench/reference.js';
import { cpuPerMillion, rate } from '../../bench/rows/figure.js';
import type { Sample } from '../../bench/schedule.js';
import { summarize } from '../../bench/summary.js';
import { exactly, item } from '../lab/items.js';

function sample(contender: string, round: number, rate: number, disturbance = 0): Sample {
  return { row: 'udp', contender, round, values: { rate }, disturbance };
}

t.test('the median is the middle value, or the mean of the two middle values', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 2, 3]), 2.5);
});

t.test('the summary of rounds has their median, lowest and highest value', async (t) => {
  const spreads = { rate: { median: 20, lowest: 10, highest: 30 } };
  t.same(summarize([sample('nginx', 0, 10), sample('nginx', 1, 30), sample('nginx', 2, 20)]), [
    { row: 'udp', contender: 'nginx', spreads, disturbance: 0 },
  ]);
});

t.test('disturbed rounds count only if all rounds were disturbed', async (t) => {
  const lowest = (...samples: Sample[]) => item(summarize(samples), 0).spreads.rate?.lowest;
  t.equal(lowest(sample('nginx', 0, 10), sample('nginx', 1, 2, 0.9)), 10);
  t.equal(lowest(sample('nginx', 0, 10, 0.8), sample('nginx', 1, 2, 0.9)), 2);
});

t.test('the best peer is the peer with the best figure', async (t) => {
  const [kernel, masquerade, peer, kubeProxy, ancestor] = exactly(5, REFERENCES);
  const rates = { nginx: 10, haproxy: 12, kernel: 30, 'kube-proxy-iptables': 28, 'kube-proxy-nftables': 29 };
  const summaries = summarize(Object.entries(rates).map(([contender, rate]) => sample(contender, 0, rate)));
  t.equal(referenceValue(peer, rate, summaries), 12);
  t.equal(referenceValue(peer, { ...rate, better: 'less' }, summaries), 10);
  t.equal(referenceValue(kernel, rate, summaries), 30);
  t.equal(referenceValue(kubeProxy, rate, summaries), 29, 'the better of both modes');
  t.equal(referenceValue(masquerade, rate, summaries), undefined, 'who was not measured is no reference');
  t.equal(referenceValue(ancestor, rate, summaries), undefined, 'who was not measured is no reference');
  t.equal(referenceValue(peer, cpuPerMillion, summaries), undefined, 'nor who has no such figure');
});
