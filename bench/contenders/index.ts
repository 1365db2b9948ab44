import { ancestor } from './ancestor.js';
import type { Contender } from './contender.js';
import { haproxy } from './haproxy.js';
import { direct, dnat } from './kernel.js';
import { kubePortal } from './kube-portal.js';
import { nginx, plainNginx } from './nginx.js';

/**
 * Everything that can be measured.
 * @param ancestorProgram path of a kube-proxy 1.20. Undefined: there is none. Distributions no longer have
 * it.
 */
export function contenders(ancestorProgram: string | undefined): Contender[] {
  return [
    direct,
    dnat,
    ...(ancestorProgram === undefined ? [] : [ancestor(ancestorProgram)]),
    nginx,
    plainNginx,
    haproxy,
    kubePortal('iptables', 1),
    kubePortal('iptables', 2),
    kubePortal('address', 1),
    kubePortal('address', 2),
  ];
}
