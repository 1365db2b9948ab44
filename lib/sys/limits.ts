import { RLIMIT_NOFILE } from './constants.js';
import { checked } from './errno.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/** Raises the soft limit on open descriptors to the hard limit. @returns the new limit */
export function raiseDescriptorLimit(): number {
  const limits = new Memory(16);
  checked('getrlimit', libc.getrlimit(RLIMIT_NOFILE, limits.address));
  const hard = limits.view.getBigUint64(8, true);
  limits.view.setBigUint64(0, hard, true);
  checked('setrlimit', libc.setrlimit(RLIMIT_NOFILE, limits.address));
  return hard > 1n << 30n ? 2 ** 30 : Number(hard);
}
