import { constants } from 'node:os';
import { errnoLocation } from './libc.js';
import { viewForeign } from './memory.js';

/** Each worker thread loads this module itself, so this is always the `errno` of the calling thread. */
const errnoCell = new Int32Array(viewForeign(errnoLocation(), 4));

/**
 * The error of the last call that failed. Read it before any other call: each call of the thread may change
 * it.
 */
export function errno(): number {
  return errnoCell[0];
}

export const {
  EACCES,
  EAGAIN,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EBADMSG,
  EBUSY,
  ECONNABORTED,
  ECONNREFUSED,
  ECONNRESET,
  EEXIST,
  EHOSTUNREACH,
  EINPROGRESS,
  EINTR,
  EINVAL,
  EIO,
  EMFILE,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  ENOBUFS,
  ENOENT,
  ENOMEM,
  ENOSYS,
  ENOPROTOOPT,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  EPROTO,
  ETIMEDOUT,
} = constants.errno;

/** node:os does not have these. The numbers are the same on every machine that Node supports. */
export const ENFILE = 23;
export const ENONET = 64;
export const EHOSTDOWN = 112;

const names = new Map(
  Object.entries({ ...constants.errno, ENFILE, ENONET, EHOSTDOWN }).map(([name, value]) => [value, name]),
);

/** `EADDRINUSE` for 98. The number if it has no name in Node. */
export function errnoName(code: number): string {
  return names.get(code) ?? `errno ${code}`;
}

/** A system call failed in a way that its caller does not handle. */
export class SysError extends Error {
  override readonly name = 'SysError';

  constructor(
    readonly call: string,
    readonly code: number,
  ) {
    super(`${call}: ${errnoName(code)}`);
  }
}

/** Returns the result of a call. @throws SysError with `errno` if the result is negative */
export function checked(call: string, result: number): number {
  if (result < 0) throw new SysError(call, errno());
  return result;
}
