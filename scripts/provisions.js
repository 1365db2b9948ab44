/**
 * What some tests need and not every machine can have. It is prepared while other tests run. The first time
 * takes minutes.
 *
 * The program of a provision prints its progress on standard error. If this machine cannot have the
 * provision, it ends with status 77, as Automake's tests do, and its last line is the reason. After any other
 * failure, the tests run and fail.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';

const CANNOT_BE_HAD = 77;

class Provision {
  /** Why this machine cannot have it. Empty: it can, or it is not settled yet. */
  missing = '';
  isSettled = false;
  #settling;

  /** @param isFor whether a test file needs it, by its path below test/ */
  constructor({ isFor, command, variable }) {
    this.isFor = isFor;
    this.command = command;
    this.variable = variable;
  }

  /** Prepares it at the first call. Resolves once this has succeeded or failed. */
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
    let lastLine = '';
    createInterface(child.stderr).on('line', (line) => {
      lastLine = line;
      process.stderr.write(`${line}\n`);
    });
    const [code] = await once(child, 'close');
    if (code === CANNOT_BE_HAD) this.missing = lastLine;
    if (code === 0 && this.variable !== undefined) process.env[this.variable] = output.trim();
    this.isSettled = true;
  }
}

const isIn =
  (...folders) =>
  (file) =>
    folders.some((folder) => file.startsWith(folder));

export const packages = new Provision({ isFor: runsPrograms, command: ['scripts/packages.sh'] });

export const provisions = [
  packages,
  new Provision({
    isFor: isIn('apiserver/', 'image/', 'networkpolicy/'),
    command: ['scripts/apiserver.sh'],
    variable: 'KUBEBUILDER_ASSETS',
  }),
  new Provision({ isFor: isIn('apiserver/kube-proxy.test.ts'), command: ['scripts/kube-proxy.sh'] }),
  new Provision({ isFor: isIn('networkpolicy/'), command: ['scripts/kube-router.sh'] }),
  new Provision({ isFor: isIn('image/'), command: [process.execPath, 'dist/test/image/prepare.js'] }),
];

/** Whether a test file, or what it imports from test/, starts other programs. */
function runsPrograms(file, seen = new Set()) {
  if (seen.has(file)) return false;
  seen.add(file);
  const text = readFileSync(join('test', file), 'utf8');
  if (text.includes("from 'node:child_process'")) return true;
  return Array.from(text.matchAll(/(?:from|import) '(\.[^']*)\.js'/g), ([, path]) =>
    join(dirname(file), `${path}.ts`),
  )
    .filter((path) => !path.startsWith('..'))
    .some((path) => runsPrograms(path, seen));
}
