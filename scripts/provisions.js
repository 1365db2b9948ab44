/**
 * What some tests need and not every machine can have. It is got ready while other tests run: the first time takes minutes.
 *
 * The program of a provision tells on standard error how far it is. It ends with status 77, as Automake's tests do, where this
 * machine cannot have it, and the reason is its last line then. After any other failure the tests run, and fail.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';

const CANNOT_BE_HAD = 77;

class Provision {
  /** Why this machine cannot have it; empty where it can. Known once it is settled. */
  missing = '';
  isSettled = false;
  #settling;

  constructor({ folders, command, variable }) {
    this.folders = folders;
    this.command = command;
    this.variable = variable;
  }

  isFor(file) {
    return this.folders.some((folder) => file.startsWith(folder));
  }

  /** Starts to get it ready, at the first call. Resolves once that has succeeded or failed. */
  settle() {
    this.#settling ??= this.#run();
    return this.#settling;
  }

  async #run() {
    const [command, ...args] = this.command;
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    let said = '';
    createInterface(child.stderr).on('line', (line) => {
      said = line;
      process.stderr.write(`${line}\n`);
    });
    const [code] = await once(child, 'close');
    if (code === CANNOT_BE_HAD) this.missing = said;
    if (code === 0 && this.variable !== undefined) process.env[this.variable] = output.trim();
    this.isSettled = true;
  }
}

/** Folders are those of test/. */
export const provisions = [
  new Provision({
    folders: ['apiserver/', 'image/'],
    command: ['scripts/apiserver.sh'],
    variable: 'KUBEBUILDER_ASSETS',
  }),
  new Provision({ folders: ['image/'], command: [process.execPath, 'dist/test/image/prepare.js'] }),
];
