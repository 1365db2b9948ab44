import { constants } from 'node:os';
import { errnoLocation } from './libc.js';
import { viewForeign } from './memory.js';

/** Each worker thread loads this module itself, so the cell is always the calling thread's own. */
const cell = new Int32Array(viewForeign(errnoLocation(), 4));

/**
 * The error of the last failed call. Read it before any other call: everything in a thread shares one cell.
 */
export function errno(): number {
  return cell[0];
}

export const {
  EACCES,
  EAGAIN,
  EADDRINUSE,
  EADDRNOTAVAIL,
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

/** Absent from node:os; Linux has these numbers on every machine it runs Node on. */
export const ENFILE = 23;
export const ENONET = 64;
export const EHOSTDOWN = 112;

const names = new Map(
  Object.entries({ ...constants.errno, ENFILE, ENONET, EHOSTDOWN }).map(([name, value]) => [value, name]),
);

/** `EADDRINUSE` for 98; the bare number where Node has no name for it. */
export function errnoName(code: number): string {
  return names.get(code) ?? `errno ${code}`;
}

/** A system call that failed where failing was not part of the plan. */
export class SysError extends Error {
  override readonly name = 'SysError';

  constructor(
    readonly call: string,
    readonly code: number,
  ) {
    super(`${call}: ${errnoName(code)}`);
  }
}

/** Returns a call's result, or throws what `errno` says about a negative one. */
export function checked(call: string, result: number): number {
  if (result < 0) throw new SysError(call, errno());
  return result;
}
