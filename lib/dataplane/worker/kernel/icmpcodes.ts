import {
  EACCES,
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
  ENETUNREACH,
  ENOPROTOOPT,
  EOPNOTSUPP,
} from '../../../sys/errno.js';

const UNREACHABLE = { icmp: 3, icmpV6: 1 } as const;

/**
 * What an ICMP error of the type "destination unreachable" says, by its code (RFC 792, RFC 1812 5.2.7.1, RFC
 * 4443 3.1). Null: that the packet was too long (4 of ICMP), or nothing known.
 *
 * The kernel makes the same of them for sockets (icmp_err_convert, tab_unreach), but for one thing: that the
 * administrator prohibits the packet (9, 10 and 13) is EACCES here, as with ICMPv6.
 */
const CODES: readonly (number | null)[] = [
  ENETUNREACH,
  EHOSTUNREACH,
  ENOPROTOOPT,
  ECONNREFUSED,
  null,
  EOPNOTSUPP,
  ENETUNREACH,
  EHOSTDOWN,
  ENETUNREACH,
  EACCES,
  EACCES,
  ENETUNREACH,
  EHOSTUNREACH,
  EACCES,
];
const CODES_V6: readonly (number | null)[] = [
  ENETUNREACH,
  EACCES,
  EHOSTUNREACH,
  EHOSTUNREACH,
  ECONNREFUSED,
  EACCES,
  EACCES,
];

/** The errno for an ICMP error. Null for errors that do not say that an endpoint cannot be reached. */
export function errnoOfIcmp(isV6: boolean, type: number, code: number): number | null {
  if (type !== (isV6 ? UNREACHABLE.icmpV6 : UNREACHABLE.icmp)) return null;
  return (isV6 ? CODES_V6 : CODES)[code] ?? null;
}
