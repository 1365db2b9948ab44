import t from 'tap';
import { prepareSynced } from './harness.js';

t.setTimeout(0);

t.test('the owner of a Service gets each Event once, and their number is limited', async (t) => {
  const { api, harness } = await prepareSynced(t);
  const warn = (name: string) =>
    harness.source.warnOwner(
      { object: `Service default/${name}`, message: 'port 30080 is taken' },
      'ListenFailed',
    );
  for (let i = 0; i < 3; i++) warn('web');
  await harness.until(() => api.events.length > 0, 'an Event');
  for (let i = 0; i < 50; i++) warn(`s${i}`);
  await harness.until(() => api.events.length === 20, 'no more than the burst');
  t.match(api.events[0], {
    metadata: { namespace: 'default', generateName: 'web-' },
    regarding: { apiVersion: 'v1', kind: 'Service', name: 'web', uid: 'uid-of-default/web' },
    type: 'Warning',
    reason: 'ListenFailed',
    note: 'port 30080 is taken',
    reportingController: 'kube-portal',
    reportingInstance: 'robot',
  });
  t.match(api.events[0]!.eventTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
});

t.test('the note of an Event is cut to the size that an API server takes', async (t) => {
  const { api, harness } = await prepareSynced(t);
  harness.source.warnOwner({ object: 'Service default/web', message: `x${'é'.repeat(600)}` }, 'ListenFailed');
  await harness.until(() => api.events.length > 0, 'an Event');
  const note = String(api.events[0]!.note);
  t.ok(Buffer.byteLength(note) <= 1024, 'bytes in UTF-8');
  t.match(note, /^xé+\.\.\. \(\d+ more characters\)$/);
});

t.test('the Event of a Node is where kubectl describe looks for it', async (t) => {
  const { api, harness } = await prepareSynced(t);
  harness.source.warnOwner({ object: 'Node robot.example', message: 'it does not forward' }, 'NotForwarding');
  await harness.until(() => api.events.length > 0, 'an Event');
  t.match(api.events[0], {
    metadata: { namespace: 'default', generateName: 'robot.example-' },
    regarding: { apiVersion: 'v1', kind: 'Node', name: 'robot.example', uid: 'robot.example' },
    reason: 'NotForwarding',
    note: 'it does not forward',
  });
});
