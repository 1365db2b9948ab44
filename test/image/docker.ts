import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Place } from '../apiserver/apiserver.js';
import { type Program, type Result, type RunOptions, run, runOrThrow } from '../lab/program.js';
import { Container } from './container.js';

/** Images stay from one run to the next: to build all of their layers takes minutes. */
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kube-portal/docker');
/** Patience with a first build on a busy machine: our own, or that of another run which is waited for. */
const TIMEOUT_MS = 1_200_000;

/** No dockerd can run here. */
export class NoDockerError extends Error {
  /** @param said what it, or what starts it, wrote last */
  constructor(said: string) {
    super(`no dockerd can run here: ${said.trim().split('\n').at(-1)}`);
  }
}

/**
 * A Docker daemon of the test, without networks: containers share the network of the place where the daemon
 * runs. The daemon and the containers have their own process and mount namespaces, so nothing is left after
 * the test.
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

  /**
   * Resolves once the daemon answers. Only one runs on a machine at the same time. The next one waits.
   * @throws NoDockerError if it ends
   */
  static async start(place: Place): Promise<Docker> {
    const docker = new Docker(place);
    const deadline = Date.now() + TIMEOUT_MS;
    while ((await docker.run(['version'])).code !== 0) {
      if (docker.#daemon.running && Date.now() < deadline) {
        await sleep(200);
        continue;
      }
      const { running, stderr } = docker.#daemon;
      await docker.stop();
      if (!running) throw new NoDockerError(stderr);
      throw new Error(`dockerd did not start\n${stderr}`);
    }
    return docker;
  }

  /** Runs the command `docker` to its end. */
  run(args: readonly string[]): Promise<Result> {
    return run(this.#command(args), OPTIONS);
  }

  /** Resolves to what `docker` prints. @throws Error with its messages */
  must(args: readonly string[]): Promise<string> {
    return runOrThrow(this.#command(args), OPTIONS);
  }

  /** Starts a container in the background. @param args of `docker run` */
  async start(args: readonly string[]): Promise<Container> {
    return new Container(this, (await this.must(['run', '--detach', ...args])).trim());
  }

  /** Ends the daemon with all of its containers. */
  async stop(): Promise<void> {
    await this.#daemon.stop('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #host(): string {
    return `unix://${join(this.#directory, 'docker.sock')}`;
  }

  #command(args: readonly string[]): string[] {
    return ['docker', `--host=${this.#host}`, ...args];
  }
}

/** The classic builder is in every release of Docker; with it, all of them share the cache of layers. */
const OPTIONS: RunOptions = { timeoutMs: TIMEOUT_MS, env: { DOCKER_BUILDKIT: '0' } };
