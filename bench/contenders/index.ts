import { ancestor } from './ancestor.js';
import type { Contender } from './contender.js';
import { haproxy } from './haproxy.js';
import { direct, dnat, masquerade } from './kernel.js';
import { kubePortal } from './kube-portal.js';
import { kubeProxy } from './kube-proxy.js';
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
    masquerade,
    ...(ancestorProgram === undefined ? [] : [ancestor(ancestorProgram)]),
    kubeProxy('iptables'),
    kubeProxy('nftables'),
    nginx,
    plainNginx,
    haproxy,
    kubePortal('kernel', 1),
    kubePortal('kernel', 2),
    kubePortal('masquerade', 1),
    kubePortal('takeover', 1),
    kubePortal('relay', 1),
    kubePortal('relay', 2),
    kubePortal('address', 1),
    kubePortal('address', 2),
  ];
}
