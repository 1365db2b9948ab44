import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { runOrThrow } from './program.js';

/** The programs that start a program in a lab: a PATH of its own needs them. */
export const LAUNCHERS = ['setpriv', 'nsenter', 'prlimit'];

/**
 * Makes a directory for PATH, which lasts as long as the test.
 * @param programs names of installed programs; no other program is found there
 * @param scripts name to lines of a shell script
 */
export async function pathWith(
  t: Pick<Test, 'teardown'>,
  programs: readonly string[],
  scripts: Readonly<Record<string, string>> = {},
): Promise<string> {
  const path = mkdtempSync(join(tmpdir(), 'kube-portal-path-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  for (const program of programs) {
    symlinkSync((await runOrThrow(['which', program])).trim(), join(path, program));
  }
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(path, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  return path;
}
