import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Place } from '../apiserver/apiserver.js';
import { type Program, type Result, run, runOrThrow } from '../lab/program.js';
import { Container } from './container.js';

/** Images stay from one run to the next: to build all of their layers takes minutes. */
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kube-portal/docker');
/** Another run of the tests may have to finish a build first. */
const START_TIMEOUT_MS = 240_000;
const COMMAND_TIMEOUT_MS = 600_000;

/**
 * A Docker daemon of the test's own, without networks: containers share the network of the place where it runs. They and the
 * daemon have a process and a mount namespace of their own, so that nothing of them is left, whatever ends the test.
 */
export class Docker {
  readonly #directory = mkdtempSync(join(tmpdir(), 'kube-portal-docker-'));
  readonly #daemon: Program;

  private constructor(place: Place) {
    mkdirSync(CACHE, { recursive: true });
    this.#daemon = place.spawn('flock', [
      '--no-fork',
      join(CACHE, 'lock'),
      ...['unshare', '--pid', '--kill-child', '--mount-proc'],
      'dockerd',
      '--iptables=false',
      '--bridge=none',
      '--storage-driver=overlay2',
      `--data-root=${join(CACHE, 'data')}`,
      `--exec-root=${join(this.#directory, 'exec')}`,
      `--pidfile=${join(this.#directory, 'pid')}`,
      `--host=${this.#host}`,
    ]);
  }

  /** Resolves once it answers. Only one runs at a time on a machine; the next one waits. */
  static async start(place: Place): Promise<Docker> {
    const docker = new Docker(place);
    const deadline = Date.now() + START_TIMEOUT_MS;
    while ((await docker.run(['version'])).code !== 0) {
      if (docker.#daemon.running && Date.now() < deadline) await sleep(200);
      else throw new Error(`dockerd did not start\n${await docker.#end()}`);
    }
    return docker;
  }

  /** Runs the command `docker` to its end. */
  run(args: readonly string[]): Promise<Result> {
    return run(this.command(args), { timeoutMs: COMMAND_TIMEOUT_MS, env: CLASSIC_BUILDER });
  }

  /** Resolves to what `docker` prints. @throws Error with its messages */
  must(args: readonly string[]): Promise<string> {
    return runOrThrow(this.command(args), { timeoutMs: COMMAND_TIMEOUT_MS, env: CLASSIC_BUILDER });
  }

  /** The words of a `docker` command to this daemon. */
  command(args: readonly string[]): string[] {
    return ['docker', `--host=${this.#host}`, ...args];
  }

  /** Starts a container in the background. @param args of `docker run` */
  async start(args: readonly string[]): Promise<Container> {
    return new Container(this, (await this.must(['run', '--detach', ...args])).trim());
  }

  /** Ends the daemon with all of its containers. */
  async stop(): Promise<void> {
    await this.#end();
  }

  get #host(): string {
    return `unix://${join(this.#directory, 'docker.sock')}`;
  }

  /** Resolves to what it printed. */
  async #end(): Promise<string> {
    await this.#daemon.stop('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
    return this.#daemon.stderr;
  }
}

/** What every release of Docker has, with the same layers for all. */
const CLASSIC_BUILDER = { DOCKER_BUILDKIT: '0' };
