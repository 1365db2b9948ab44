import { openSync } from 'node:fs';
import { checked } from './errno.js';
import * as libc from './libc.js';

/** linux/sched.h */
const CLONE_NEWNET = 0x40000000;

/**
 * Moves the calling thread into a new network namespace; other threads stay (unshare(2)). Sockets that the
 * thread has already stay in the namespace in which they were opened. The kernel removes the namespace with
 * all its devices as soon as neither the thread nor one of its sockets is there, so nothing is left behind
 * even by a process that is killed.
 *
 * @returns a descriptor of the new namespace
 * @throws SysError: EPERM without CAP_SYS_ADMIN
 */
export function enterNewNetwork(): number {
  checked('unshare', libc.unshare(CLONE_NEWNET));
  return openSync('/proc/thread-self/ns/net', 'r');
}
