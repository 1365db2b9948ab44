import { readFileSync } from 'node:fs';

/**
 * Why a test is skipped that needs more rights than root of a user namespace has: for programs in the kernel
 * (BPF), devices, or large messages to netfilter. `false` for root of the machine, whose namespace maps every
 * user (user_namespaces(7)).
 */
export const notMachineRoot =
  /^ *0 +0 +4294967295\n/.test(readFileSync('/proc/self/uid_map', 'utf8')) && process.getuid?.() === 0
    ? false
    : 'this takes root of the machine';
