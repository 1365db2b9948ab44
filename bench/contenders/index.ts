import type { Contender } from './contender.js';
import { haproxy } from './haproxy.js';
import { direct, dnat } from './kernel.js';
import { kubePortal } from './kube-portal.js';
import { nginx } from './nginx.js';

export const CONTENDERS: readonly Contender[] = [
  direct,
  dnat,
  nginx,
  haproxy,
  kubePortal('iptables', 1),
  kubePortal('iptables', 2),
  kubePortal('address', 1),
  kubePortal('address', 2),
];
