import '../redirect/namespace.js';
import t from 'tap';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { sh } from '../redirect/namespace.js';

function addDevice(name: string, address: string): void {
  sh(`ip link add ${name} type bridge && ip link set ${name} up && ip addr add ${address} dev ${name}`);
}

t.test('an address that the devices of many pods have is one of the addresses for NodePorts', async (t) => {
  for (let pod = 0; pod < 20; pod++) addDevice(`pod${pod}`, '10.244.0.1/32');
  addDevice('uplink', '192.0.2.1/24');
  t.same(new NodeAddresses([]).single('IPv4').toSorted(), ['10.244.0.1', '192.0.2.1']);
});

t.test('there are 16 at most', async (t) => {
  for (let number = 2; number < 30; number++) sh(`ip addr add 192.0.2.${number}/24 dev uplink`);
  const addresses = new NodeAddresses([]).single('IPv4');
  t.equal(addresses.length, 16);
  t.equal(new Set(addresses).size, 16);
});
