import { fstatSync } from 'node:fs';
import t from 'tap';
import { Capacity } from '../../lib/controlplane/capacity.js';
import { PortalSockets } from '../../lib/controlplane/portalsockets.js';
import { closeListeners, type ListenerSpec, openListeners } from '../../lib/dataplane/listeners.js';
import '../redirect/namespace.js';

const SPEC: ListenerSpec = {
  protocol: 'TCP',
  family: 'IPv4',
  address: '0.0.0.0',
  port: 20_000,
  neighbours: 'none',
  freeBind: false,
  onlyWorker: null,
};

function sockets() {
  const capacity = new Capacity(100_000);
  const before = capacity.forTraffic;
  const used = () => before - capacity.forTraffic;
  return { sockets: new PortalSockets({ driver: {}, capacity }), used };
}

function isOpen(fd: number | null): boolean {
  try {
    return fd !== null && fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

t.test('adopted sockets are closed by the portal if the workers did not get them', async (t) => {
  const { sockets: own, used } = sockets();
  const group = openListeners(SPEC, 2);
  t.equal(used(), 0);
  own.adopt(group, SPEC.port);
  t.equal(used(), 2);
  t.ok(own.has(SPEC));
  t.ok(group.fds.every(isOpen));
  t.ok(own.giveUp(() => true));
  t.notOk(group.fds.some(isOpen));
  t.equal(used(), 0);
  t.notOk(own.has(SPEC));
  t.notOk(
    own.giveUp(() => true),
    'nothing is left',
  );
});

t.test('sockets that the workers got are closed by the workers', async (t) => {
  const { sockets: own, used } = sockets();
  const group = openListeners(SPEC, 2);
  own.adopt(group, null);
  own.handOver();
  t.ok(own.giveUp(() => true));
  t.ok(group.fds.every(isOpen));
  t.equal(used(), 0);
  closeListeners(group);
});
