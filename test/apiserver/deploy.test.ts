import t from 'tap';
import { Lab } from '../lab/lab.js';
import { ApiServer } from './apiserver.js';

t.setTimeout(0);

t.test('the API server accepts what deploy/ would create', async (t) => {
  const api = await ApiServer.forTest(t, (await Lab.forTest(t)).node);
  const created = await api.kubectl(['apply', '--kustomize=deploy', '--dry-run=server', '--output=name']);
  t.same(created.trim().split('\n').sort(), [
    'clusterrole.rbac.authorization.k8s.io/kube-portal',
    'clusterrolebinding.rbac.authorization.k8s.io/kube-portal',
    'configmap/kube-portal',
    'daemonset.apps/kube-portal',
    'serviceaccount/kube-portal',
  ]);
});

t.test('the API server accepts the Jobs that test the affinity of a Service', async (t) => {
  const api = await ApiServer.forTest(t, (await Lab.forTest(t)).node);
  const args = ['apply', '--filename=deploy/affinity-job.yaml', '--dry-run=server', '--output=name'];
  t.same((await api.kubectl(args)).trim().split('\n').sort(), [
    'clusterrole.rbac.authorization.k8s.io/kube-portal-affinity',
    'clusterrolebinding.rbac.authorization.k8s.io/kube-portal-affinity',
    'job.batch/affinity-clients',
    'job.batch/affinity-gather',
    'service/affinity-gather',
    'serviceaccount/affinity',
  ]);
});

t.test('the API server accepts the examples for ROS 2', async (t) => {
  const api = await ApiServer.forTest(t, (await Lab.forTest(t)).node);
  const args = ['apply', '--filename=examples/ros2', '--dry-run=server', '--output=name'];
  const created = (await api.kubectl(args)).trim().split('\n');
  t.ok(created.includes('service/cyclone-udp'));
  t.ok(created.includes('statefulset.apps/mqtt'));
});
