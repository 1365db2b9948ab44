import { InvalidArgumentError, Option } from 'commander';
import { integerBetween, parseBoolean, parseDurationOrZero } from './parse.js';

/**
 * Settings of the kernel's connection tracking. Absent or 0: the kernel's setting is not changed.
 * Times are milliseconds, at least 1000.
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
 * Reads a duration as milliseconds. The kernel counts it in whole seconds.
 * @throws InvalidArgumentError if it is above 0 and below one second: the kernel would read it as 0
 */
function parseTimeout(text: string): number {
  const ms = parseDurationOrZero(text);
  if (ms === 0 || ms >= 1000) return ms;
  throw new InvalidArgumentError('Give at least 1s, or 0s to leave the setting as it is.');
}

/** The fields of `conntrack` in a KubeProxyConfiguration. Each is read like its flag. */
export const CONNTRACK_FIELDS: Readonly<Record<string, (text: string) => ConntrackFlags>> = {
  maxPerCore: (text) => ({ conntrackMaxPerCore: parseCount(text) }),
  min: (text) => ({ conntrackMin: parseCount(text) }),
  tcpEstablishedTimeout: (text) => ({ conntrackTcpTimeoutEstablished: parseTimeout(text) }),
  tcpCloseWaitTimeout: (text) => ({ conntrackTcpTimeoutCloseWait: parseTimeout(text) }),
  tcpBeLiberal: (text) => ({ conntrackTcpBeLiberal: parseBoolean(text) }),
  udpTimeout: (text) => ({ conntrackUdpTimeout: parseTimeout(text) }),
  udpStreamTimeout: (text) => ({ conntrackUdpTimeoutStream: parseTimeout(text) }),
};

/** kube-proxy has these flags, with the same names. */
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
      'idle time after which a UDP flow that has lasted 2s and had an answer is forgotten ' +
        '(nf_conntrack_udp_timeout_stream)',
    ).argParser(parseTimeout),
  ];
}
