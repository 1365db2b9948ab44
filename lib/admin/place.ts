import { join } from 'node:path';

/** Directory of the admin channel, in the state directory. Only root may enter it (mode 0700). */
export function adminDirectory(stateDir: string): string {
  return join(stateDir, 'admin');
}

/** The Unix socket of the admin channel. */
export function adminSocket(stateDir: string): string {
  return join(adminDirectory(stateDir), 'socket');
}
