import { hostPort } from '../net/hostport.js';
import type { BindTarget } from './parse.js';
import type { RunFlags } from './run-flags.js';

/** The flags in force as a KubeProxyConfiguration of kube-proxy, for `/configz`. */
export function proxyConfiguration(flags: RunFlags): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'userspace',
    bindAddress: flags.bindAddress.IPv4,
    clientConnection: { kubeconfig: flags.kubeconfig ?? '' },
    clusterCIDR: flags.clusterCidr.join(),
    conntrack: {
      maxPerCore: flags.conntrackMaxPerCore ?? null,
      min: flags.conntrackMin ?? null,
      tcpEstablishedTimeout: durationText(flags.conntrackTcpTimeoutEstablished ?? 0),
      tcpCloseWaitTimeout: durationText(flags.conntrackTcpTimeoutCloseWait ?? 0),
      tcpBeLiberal: flags.conntrackTcpBeLiberal ?? false,
      udpTimeout: durationText(flags.conntrackUdpTimeout ?? 0),
      udpStreamTimeout: durationText(flags.conntrackUdpTimeoutStream ?? 0),
    },
    healthzBindAddress: targetText(flags.healthzBindAddress),
    hostnameOverride: flags.hostnameOverride ?? '',
    iptables: {
      masqueradeAll: flags.masqueradeAll ?? false,
      syncPeriod: durationText(flags.iptablesSyncPeriod),
    },
    metricsBindAddress: targetText(flags.metricsBindAddress),
    nodePortAddresses: flags.nodeportAddresses,
    portRange: `${flags.proxyPortRange.first}-${flags.proxyPortRange.last}`,
    udpIdleTimeout: durationText(flags.udpTimeout ?? 0),
  };
}

function targetText(target: BindTarget): string {
  return target === 'off' ? '' : hostPort(target.host, target.port);
}

function durationText(milliseconds: number): string {
  return `${milliseconds / 1000}s`;
}
