import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { askAdmin } from '../../lib/admin/client.js';
import type { EndpointsReport } from '../../lib/admin/endpoints.js';
import type { ParticipantReport, ParticipantsReport } from '../../lib/admin/participants.js';
import type { EndpointStatus } from '../../lib/dataplane/shared/endpoints.js';
import type { StatusReport } from '../../lib/server/metrics.js';
import type { SessionsReport } from '../../lib/server/sessions.js';
import type { Host } from './host.js';
import { type KubernetesObject, listOf } from './manifest.js';
import { PATIENCE_MS, type Program } from './program.js';

const BIN = fileURLToPath(new URL('../../../bin/kube-portal', import.meta.url));
const POLL_MS = 50;
/** For the test's own requests: none of those that the kernel gives, which a test may have made few. */
const LOCAL_PORTS = '61000-65000';
/** For tests of what only the relay needs: its sockets, descriptors and local ports. */
export const RELAYED = '--carrier=relay';
/** The `--carrier` of every kube-portal whose test names none, and no redirect without the kernel carrier. */
export const CARRIER = process.env.KUBE_PORTAL_TEST_CARRIER;

export interface KubePortalOptions {
  /** What it serves at first; see {@link KubePortal.setManifest}. */
  readonly objects?: readonly KubernetesObject[];
  /** Path of a kubeconfig, to follow an API server instead of a manifest. */
  readonly kubeconfig?: string;
  /** More flags for `run`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A program, with its first arguments, that starts it. */
  readonly launcher?: readonly string[];
  /** Hard limit of open files (RLIMIT_NOFILE); the test's own unless given. */
  readonly descriptorLimit?: number;
}

/** One line of the log, as pino writes it. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A kube-portal on a host of the lab, with a manifest and a state directory of its own. */
export class KubePortal {
  readonly #host: Host;
  readonly #options: KubePortalOptions;
  readonly #directory = mkdtempSync(join(tmpdir(), 'kube-portal-test-'));
  #program!: Program;

  private constructor(host: Host, options: KubePortalOptions) {
    this.#host = host;
    this.#options = options;
    mkdirSync(this.manifestDirectory);
    this.setManifest(options.objects ?? []);
    this.#launch(options.flags);
  }

  /** Starts it and resolves once it is ready; it is gone when the test ends. */
  static async forTest(
    t: { teardown(run: () => Promise<void>): unknown },
    host: Host,
    options: KubePortalOptions = {},
  ): Promise<KubePortal> {
    const kubePortal = KubePortal.launch(host, options);
    t.teardown(() => kubePortal.dispose());
    await kubePortal.ready();
    return kubePortal;
  }

  /** Starts it without waiting for anything. */
  static launch(host: Host, options: KubePortalOptions = {}): KubePortal {
    return new KubePortal(host, options);
  }

  /** A directory that the program watches. */
  get manifestDirectory(): string {
    return join(this.#directory, 'manifest');
  }

  get stateDirectory(): string {
    return join(this.#directory, 'state');
  }

  get program(): Program {
    return this.#program;
  }

  /** What it logged since it was last started. */
  get log(): LogLine[] {
    return this.#program.stdout
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** Resolves to the first line of the log that the test looks for. */
  waitForLog(wanted: (line: LogLine) => boolean, timeoutMs?: number): Promise<LogLine> {
    return this.#program.waitFor(() => this.log.find(wanted) ?? null, 'that line of the log', timeoutMs);
  }

  /** Puts other objects in the place of the ones before, with a rename as a ConfigMap mount does. */
  setManifest(objects: readonly KubernetesObject[]): void {
    this.writeManifest('objects.json', listOf(objects));
  }

  /** Puts a file into the manifest directory, whatever it contains. */
  writeManifest(name: string, text: string): void {
    const hidden = join(this.#directory, `${name}.new`);
    writeFileSync(hidden, text);
    renameSync(hidden, join(this.manifestDirectory, name));
  }

  /** Resolves once `/healthz` says 200. @throws Error with its output when it ends before */
  async ready(): Promise<void> {
    await this.until(async () => (await this.healthz()) === 200, 'it is ready');
  }

  /** The status code of `/healthz`; 0 while nobody answers. */
  async healthz(): Promise<number> {
    const url = 'http://127.0.0.1:10256/healthz';
    const { stdout } = await this.#curl(5, ['--output', '/dev/null', '--write-out', '%{http_code}', url]);
    return Number(stdout);
  }

  /** What `kube-portal status -o json` is made of. */
  async status(): Promise<StatusReport> {
    return JSON.parse(await this.#get('http://127.0.0.1:10249/status')) as StatusReport;
  }

  /** What `/sessions` answers. @param query without its question mark */
  async sessions(query = ''): Promise<SessionsReport> {
    return JSON.parse(await this.#get(`http://127.0.0.1:10249/sessions?${query}`)) as SessionsReport;
  }

  /** What `kube-portal participants -o json` is made of. */
  async participants(): Promise<readonly ParticipantReport[]> {
    const { body } = await askAdmin(this.stateDirectory, 'GET', '/v1/participants');
    return (JSON.parse(body) as ParticipantsReport).participants;
  }

  /** What `kube-portal endpoints -o json` is made of. @param key of the portal whose endpoints are wanted */
  async endpoints(key: string): Promise<readonly EndpointStatus[]> {
    const { body } = await askAdmin(this.stateDirectory, 'GET', '/v1/endpoints');
    return (JSON.parse(body) as EndpointsReport).endpoints.filter((endpoint) => endpoint.key === key);
  }

  /** What a command of this program prints that asks it. @throws Error with its messages where it fails */
  command(name: string, args: readonly string[] = []): Promise<string> {
    return this.#host.must(process.execPath, [BIN, name, '--state-dir', this.stateDirectory, ...args]);
  }

  /** Prometheus text. */
  metrics(): Promise<string> {
    return this.#get('http://127.0.0.1:10249/metrics');
  }

  /** Polls until something is so. @throws Error after the time or when the program has ended */
  async until(isSo: () => Promise<boolean>, what: string, timeoutMs = PATIENCE_MS): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!(await isSo())) {
      if (this.#program.running && Date.now() < deadline) {
        await sleep(POLL_MS);
        continue;
      }
      const why = this.#program.running ? `${timeoutMs} ms passed` : 'kube-portal ended';
      throw new Error(`${why} before ${what}\n${this.#program.stdout}${this.#program.stderr}`);
    }
  }

  /** Resident memory, bytes. */
  rss(): number {
    return this.#program.rss();
  }

  /** Ends it as a service manager does. Resolves to the exit code. */
  stop(): Promise<number | null> {
    return this.#program.stop('SIGTERM');
  }

  /** Ends it without a chance to tidy up. */
  async kill9(): Promise<void> {
    await this.#program.stop('SIGKILL');
  }

  /**
   * Starts it again with the same directories, after it ended. Resolves once it is ready.
   * @param flags instead of those of the start before
   */
  async startAgain(flags = this.#options.flags): Promise<void> {
    this.#launch(flags);
    await this.ready();
  }

  /** Ends it if it runs, and removes its directories. */
  async dispose(): Promise<void> {
    await this.kill9();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #launch(flags: readonly string[] = []): void {
    const { kubeconfig, env = {}, launcher = [], descriptorLimit } = this.#options;
    const limits = descriptorLimit === undefined ? [] : [`--nofile=${descriptorLimit}`];
    const source = kubeconfig ? ['--kubeconfig', kubeconfig] : ['--manifest', this.manifestDirectory];
    const directories = [...source, '--state-dir', this.stateDirectory];
    const run = [process.execPath, BIN, 'run', ...directories, ...carrierFor(flags), ...flags];
    this.#program = this.#host.spawn('prlimit', [...limits, ...launcher, ...run], { env });
  }

  async #get(url: string): Promise<string> {
    const { code, stdout, stderr } = await this.#curl(PATIENCE_MS / 1000, ['--fail', url]);
    if (code !== 0) throw new Error(`${url}: ${stderr}\n${this.#program.stdout}${this.#program.stderr}`);
    return stdout;
  }

  /** @param seconds the longest time that it may take */
  #curl(seconds: number, args: readonly string[]): ReturnType<Host['exec']> {
    const options = ['--silent', '--show-error', '--max-time', `${seconds}`, '--local-port', LOCAL_PORTS];
    return this.#host.exec('curl', [...options, ...args]);
  }
}

function carrierFor(flags: readonly string[]): string[] {
  const isDecided = /(^| )--(carrier|redirect[= ](address|none))\b/.test(flags.join(' '));
  return CARRIER === undefined || isDecided ? [] : [`--carrier=${CARRIER}`];
}
