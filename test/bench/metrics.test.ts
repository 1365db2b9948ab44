import t from 'tap';
import { sampleOf } from '../../bench/metrics.js';

const NAME = 'kubeproxy_sync_proxy_rules_duration_seconds_count';

t.test('the sample of a metric is found by its whole name', async (t) => {
  const metrics = `# HELP ${NAME} how often\n${NAME}_total 3\nother_${NAME} 4\n${NAME} 1.5e+01\n`;
  t.equal(sampleOf(metrics, NAME), 15);
  t.equal(sampleOf(metrics, 'kubeproxy_sync'), undefined);
});

t.test('of the samples of both IP families, that of IPv4 counts', async (t) => {
  const metrics = `${NAME}{ip_family="IPv6"} 7\n${NAME}{ip_family="IPv4"} 8\n`;
  t.equal(sampleOf(metrics, NAME), 8);
});

t.test('a metric that only the other family has is missing', async (t) => {
  t.equal(sampleOf(`${NAME}{ip_family="IPv6"} 7\n`, NAME), undefined);
});
