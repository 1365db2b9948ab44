import { SERVICE_PORTS, type ServicePort, VIP } from '../service.js';
import type { Testbed } from '../testbed.js';

/** Adds rules to the node that send each service port of the VIP to a target. */
export async function redirect(testbed: Testbed, target: (port: ServicePort) => string): Promise<void> {
  const rules = SERVICE_PORTS.map((port) => {
    const protocol = port.protocol.toLowerCase();
    return `-A PREROUTING -d ${VIP} -p ${protocol} --dport ${port.port} -j ${target(port)}`;
  });
  await testbed.node.must('iptables-restore', ['--noflush'], {
    input: `*nat\n${rules.join('\n')}\nCOMMIT\n`,
  });
}
