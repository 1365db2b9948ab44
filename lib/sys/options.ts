import { checked } from './errno.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/** Shared by all calls, because the kernel does not keep a pointer to them. */
const value = new Memory(8);
const length = new Memory(8);

/**
 * Sets an integer option.
 * @returns false if the kernel refuses it; `errno()` then tells the reason
 */
export function setOption(fd: number, level: number, option: number, wanted: number): boolean {
  value.words[0] = wanted;
  return libc.setsockopt(fd, level, option, value.address, 4) === 0;
}

/**
 * Sets an option without which the socket still works, only less well. If a kernel or a sandbox refuses it,
 * nothing happens.
 */
export function preferOption(fd: number, level: number, option: number, wanted: number): void {
  setOption(fd, level, option, wanted);
}

/** Sets an option without which the socket does not work. @throws SysError */
export function requireOption(fd: number, level: number, option: number, wanted: number): void {
  checked('setsockopt', setOption(fd, level, option, wanted) ? 0 : -1);
}

/** The value of an integer option. Null if the kernel does not tell it; `errno()` then tells the reason. */
export function findOption(fd: number, level: number, option: number): number | null {
  length.words[0] = 4;
  const result = libc.getsockopt(fd, level, option, value.address, length.address);
  return result === 0 ? value.words[0] : null;
}

/** Reads an integer option. @throws SysError */
export function getOption(fd: number, level: number, option: number): number {
  const found = findOption(fd, level, option);
  return found ?? checked('getsockopt', -1);
}
