import { SERVICE_PORTS, type ServicePort, VIP } from '../service.js';
import type { Stage } from '../stage.js';

/** Adds rules of the node that bring every service port of the VIP somewhere. */
export async function redirect(stage: Stage, target: (port: ServicePort) => string): Promise<void> {
  const rules = SERVICE_PORTS.map((port) => {
    const protocol = port.protocol.toLowerCase();
    return `-A PREROUTING -d ${VIP} -p ${protocol} --dport ${port.port} -j ${target(port)}`;
  });
  await stage.node.must('iptables-restore', ['--noflush'], { input: `*nat\n${rules.join('\n')}\nCOMMIT\n` });
}
