import { InvalidArgumentError, Option } from 'commander';
import { integerBetween, parseBoolean, parseDurationOrZero } from './parse.js';

/**
 * How the kernel tracks connections. A setting that is not given, or is 0, leaves the kernel as it is.
 * Times are milliseconds.
 */
export interface ConntrackFlags {
  readonly conntrackMaxPerCore?: number;
  readonly conntrackMin?: number;
  readonly conntrackTcpTimeoutEstablished?: number;
  readonly conntrackTcpTimeoutCloseWait?: number;
  readonly conntrackTcpBeLiberal?: boolean;
  readonly conntrackUdpTimeout?: number;
  readonly conntrackUdpTimeoutStream?: number;
}

/** nf_conntrack_max is an int. */
const parseCount = integerBetween(0, 2 ** 31 - 1);

/**
 * Milliseconds of a time that the kernel counts in seconds.
 * @throws InvalidArgumentError for less than one second, which would be none
 */
function parseTimeout(text: string): number {
  const ms = parseDurationOrZero(text);
  if (ms === 0 || ms >= 1000) return ms;
  throw new InvalidArgumentError('Give at least 1s, or 0s to leave the setting as it is.');
}

/** The fields below `conntrack` in a KubeProxyConfiguration, each as the flag of the same meaning is read. */
export const CONNTRACK_FIELDS: Readonly<Record<string, (text: string) => ConntrackFlags>> = {
  maxPerCore: (text) => ({ conntrackMaxPerCore: parseCount(text) }),
  min: (text) => ({ conntrackMin: parseCount(text) }),
  tcpEstablishedTimeout: (text) => ({ conntrackTcpTimeoutEstablished: parseTimeout(text) }),
  tcpCloseWaitTimeout: (text) => ({ conntrackTcpTimeoutCloseWait: parseTimeout(text) }),
  tcpBeLiberal: (text) => ({ conntrackTcpBeLiberal: parseBoolean(text) }),
  udpTimeout: (text) => ({ conntrackUdpTimeout: parseTimeout(text) }),
  udpStreamTimeout: (text) => ({ conntrackUdpTimeoutStream: parseTimeout(text) }),
};

/** kube-proxy's flags of the same names. */
export function conntrackFlags(): Option[] {
  return [
    new Option(
      '--conntrack-max-per-core <number>',
      'raise nf_conntrack_max to this number for each core. 0: leave it (default: 32768 with --conntrack-min)',
    ).argParser(parseCount),
    new Option(
      '--conntrack-min <number>',
      'raise nf_conntrack_max to at least this number (default: 131072 with --conntrack-max-per-core)',
    ).argParser(parseCount),
    new Option(
      '--conntrack-tcp-timeout-established <duration>',
      'idle time after which an open TCP connection is forgotten (nf_conntrack_tcp_timeout_established)',
    ).argParser(parseTimeout),
    new Option(
      '--conntrack-tcp-timeout-close-wait <duration>',
      'idle time after which a TCP connection that one side has closed is forgotten ' +
        '(nf_conntrack_tcp_timeout_close_wait)',
    ).argParser(parseTimeout),
    new Option(
      '--conntrack-tcp-be-liberal [boolean]',
      'accept TCP segments outside of the window as valid (nf_conntrack_tcp_be_liberal)',
    ).argParser(parseBoolean),
    new Option(
      '--conntrack-udp-timeout <duration>',
      'idle time after which a UDP flow without an answer is forgotten (nf_conntrack_udp_timeout)',
    ).argParser(parseTimeout),
    new Option(
      '--conntrack-udp-timeout-stream <duration>',
      'idle time after which a UDP flow with answers is forgotten (nf_conntrack_udp_timeout_stream)',
    ).argParser(parseTimeout),
  ];
}
