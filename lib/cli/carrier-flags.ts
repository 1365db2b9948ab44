import { InvalidArgumentError, Option } from 'commander';
import { CARRIER_MODES, CARRIER_QUEUES, type CarrierMode, isMarkMask } from '../portal/carrier.js';
import { integerBetween, parseBoolean } from './parse.js';

/** What moves the bytes, and what the kernel carrier may use for it. */
export interface CarrierFlags {
  readonly carrier: CarrierMode;
  readonly masqueradeAll?: boolean;
  readonly carrierMarkMask: number;
  readonly carrierQueue: number;
}

export function carrierFlags(): Option[] {
  return [
    new Option(
      '--carrier <mode>',
      'what moves the bytes of clients. relay: the threads of kube-portal. kernel: connection tracking, once ' +
        'kube-portal has picked the endpoint; the pod then sees the client. auto: the kernel where it can, else ' +
        'the relay. The annotation kube-portal.dev/carrier of a Service replaces it',
    )
      .choices(CARRIER_MODES)
      .default('auto'),
    new Option(
      '--masquerade-all [boolean]',
      "show pods the node's address in the place of any client of a ClusterIP, also where the kernel carries",
    ).argParser(parseBoolean),
    new Option(
      '--carrier-mark-mask <mask>',
      "bits of connection tracking's marks by which kube-portal knows its own entries: at least three, side by " +
        'side, that no other program of the node uses',
    )
      .argParser(parseMarkMask)
      .default(0x7000_0000, '0x70000000'),
    new Option(
      '--carrier-queue <number>',
      `first of ${CARRIER_QUEUES} queues of netfilter (NFQUEUE) that no other program of the node uses`,
    )
      .argParser(integerBetween(0, 65_536 - CARRIER_QUEUES))
      .default(20_480),
  ];
}

function parseMarkMask(text: string): number {
  const mask = /^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN;
  if (mask < 2 ** 32 && isMarkMask(mask)) return mask;
  throw new InvalidArgumentError('Give at least three adjacent bits of 32, such as 0x70000000.');
}
