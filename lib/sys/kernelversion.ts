import { release } from 'node:os';

/** Whether the running kernel is Linux `major.minor` or later. @param running as uname(2) tells it */
export function isKernelAtLeast(major: number, minor: number, running = release()): boolean {
  const [runningMajor = 0, runningMinor = 0] = running.split(/[.-]/).map(Number);
  return runningMajor > major || (runningMajor === major && runningMinor >= minor);
}
