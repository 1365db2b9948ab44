import { InvalidArgumentError, Option } from 'commander';
import { integerBetween, parseBoolean, parseDurationOrZero } from './parse.js';

/**
 * How the kernel is to track connections. What is not given leaves the kernel as it is, and so does 0.
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
  throw new InvalidArgumentError('Give 0s to leave it as it is, or at least 1s.');
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
      'entries for each core, to raise nf_conntrack_max; 0 leaves it (default: 32768 with --conntrack-min)',
    ).argParser(parseCount),
    new Option(
      '--conntrack-min <number>',
      'entries however few cores there are (default: 131072 with --conntrack-max-per-core)',
    ).argParser(parseCount),
    new Option(
      '--conntrack-tcp-timeout-established <duration>',
      'idle time of an open TCP connection (nf_conntrack_tcp_timeout_established)',
    ).argParser(parseTimeout),
    new Option(
      '--conntrack-tcp-timeout-close-wait <duration>',
      'idle time of one that one side has closed (nf_conntrack_tcp_timeout_close_wait)',
    ).argParser(parseTimeout),
    new Option(
      '--conntrack-tcp-be-liberal [boolean]',
      'takes no segment for invalid that is out of its window (nf_conntrack_tcp_be_liberal)',
    ).argParser(parseBoolean),
    new Option(
      '--conntrack-udp-timeout <duration>',
      'idle time of a UDP flow without an answer (nf_conntrack_udp_timeout)',
    ).argParser(parseTimeout),
    new Option(
      '--conntrack-udp-timeout-stream <duration>',
      'the same of one that is a stream (nf_conntrack_udp_timeout_stream)',
    ).argParser(parseTimeout),
  ];
}
