import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { PATIENCE_MS, type Program, type Result, type RunOptions } from '../lab/program.js';
import { Authority, type KeyPair } from '../sources/kubernetes/certificates.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PORT = 6443;
/** Where an API server can be that only the test knows of. */
export const OTHER_PORT = 6444;
const ETCD = 'http://127.0.0.1:2379';
/** The Node that a kube-portal of a test is given with --hostname-override=robot. */
export const NODE = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'robot' } };
export const RBAC_MANIFEST = join(ROOT, 'deploy/rbac.yaml');

/** Where the programs run: a host of the lab, or where the test itself runs. */
export interface Place {
  exec(command: string, args: readonly string[], options?: RunOptions): Promise<Result>;
  must(command: string, args: readonly string[], options?: RunOptions): Promise<string>;
  spawn(command: string, args: readonly string[]): Program;
}

/** A real kube-apiserver with its etcd on the loopback of a place, with TLS and RBAC as in any cluster. */
export class ApiServer {
  readonly #place: Place;
  readonly #bin: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'kube-portal-apiserver-'));
  readonly #authority: Authority;
  readonly #serving: KeyPair;
  #port = PORT;
  #etcd!: Program;
  #program!: Program;

  private constructor(place: Place) {
    this.#place = place;
    this.#bin = execFileSync(join(ROOT, 'scripts/apiserver.sh'), { encoding: 'utf8' }).trim();
    this.#authority = new Authority(this.#directory);
    this.#serving = this.#authority.issue('server', '/CN=kube-apiserver', 'IP:127.0.0.1');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(this.#path('sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }));
    const { cert, key } = this.#authority.issue('admin', '/O=system:masters/CN=admin');
    this.#writeKubeconfig('admin', { 'client-certificate': cert, 'client-key': key });
  }

  /** Starts both and resolves once the API answers; they are gone when the test ends. */
  static async forTest(t: { teardown(run: () => Promise<void>): unknown }, place: Place): Promise<ApiServer> {
    const api = new ApiServer(place);
    t.teardown(() => api.#dispose());
    api.#startEtcd();
    await api.start();
    return api;
  }

  /**
   * Starts the API server, after {@link kill}. Resolves once it answers.
   * @param port not the kubeconfigs' one, if nobody but {@link kubectl} is to find it
   */
  async start(port = PORT): Promise<void> {
    this.#port = port;
    const { cert, key } = this.#serving;
    this.#program = this.#place.spawn(join(this.#bin, 'kube-apiserver'), [
      `--etcd-servers=${ETCD}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      '--advertise-address=192.0.2.1',
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112',
      '--authorization-mode=RBAC',
      '--anonymous-auth=false',
      `--client-ca-file=${this.#authority.caFile}`,
      `--tls-cert-file=${cert}`,
      `--tls-private-key-file=${key}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${this.#path('sa.key')}`,
      `--service-account-signing-key-file=${this.#path('sa.key')}`,
    ]);
    await this.#until(async () => (await this.#tryKubectl(['get', '--raw=/readyz'])).stdout === 'ok');
  }

  /** Resolves once somebody at the kubeconfigs' port answers a request, with an error too. */
  async firstAnswer(): Promise<void> {
    const url = `https://127.0.0.1:${PORT}/livez`;
    while ((await this.#place.exec('curl', ['-ks', '-o', '/dev/null', url])).code !== 0) await sleep(50);
  }

  /** Ends the API server without a word. */
  async kill(): Promise<void> {
    await this.#program.stop('SIGKILL');
  }

  /** Runs kubectl as the cluster's administrator. Resolves to its output. @throws Error with its messages */
  kubectl(args: readonly string[], input = ''): Promise<string> {
    return this.#place.must(join(this.#bin, 'kubectl'), [...this.#admin, ...args], { input });
  }

  /** Creates or changes objects. */
  async apply(...objects: readonly object[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await this.kubectl(['apply', '--server-side', '--filename=-'], JSON.stringify(list));
  }

  /** Sets parts of an object's status, as its controller does. @param object by kind and name */
  async setStatus(object: string, status: object): Promise<void> {
    const patch = JSON.stringify({ status });
    await this.kubectl(['patch', object, '--subresource=status', '--type=merge', `--patch=${patch}`]);
  }

  /** Makes etcd forget all versions up to the present one. */
  async compact(): Promise<void> {
    const json = (path: string, body: object) =>
      this.#place.must('curl', ['-sf', `${ETCD}/v3/${path}`, '-d', JSON.stringify(body)]);
    const { header } = JSON.parse(await json('kv/range', { key: 'Lw==' })) as {
      header: { revision: string };
    };
    await json('kv/compaction', { revision: header.revision, physical: true });
  }

  /** A kubeconfig of the account of deploy/rbac.yaml, with a token file. Resolves to its path. */
  async proxyKubeconfig(): Promise<string> {
    await this.kubectl(['apply', `--filename=${RBAC_MANIFEST}`]);
    const tokenFile = this.#path('token');
    writeFileSync(
      tokenFile,
      await this.kubectl(['create', 'token', 'kube-portal', '--namespace=kube-system']),
    );
    return this.#writeKubeconfig('kube-portal', { tokenFile });
  }

  /** The certificate of the authority that the API server's own is from, PEM. */
  get authority(): string {
    return this.#authority.ca;
  }

  /** Path of the cluster administrator's kubeconfig. */
  get adminKubeconfig(): string {
    return this.#path('admin.kubeconfig');
  }

  get #admin(): string[] {
    return [
      `--kubeconfig=${this.adminKubeconfig}`,
      `--server=https://127.0.0.1:${this.#port}`,
      `--cache-dir=${this.#path('kubectl-cache')}`,
    ];
  }

  #startEtcd(): void {
    this.#etcd = this.#place.spawn(join(this.#bin, 'etcd'), [
      `--data-dir=${this.#path('etcd')}`,
      `--listen-client-urls=${ETCD}`,
      `--advertise-client-urls=${ETCD}`,
      '--listen-peer-urls=http://127.0.0.1:2380',
      // What it keeps need not outlive a power cut.
      '--unsafe-no-fsync',
      '--log-level=error',
    ]);
  }

  #writeKubeconfig(name: string, user: object): string {
    const path = this.#path(`${name}.kubeconfig`);
    const cluster = { server: `https://127.0.0.1:${PORT}`, 'certificate-authority': this.#authority.caFile };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': name,
      contexts: [{ name, context: { cluster: 'test', user: name } }],
      clusters: [{ name: 'test', cluster }],
      users: [{ name, user }],
    };
    writeFileSync(path, stringify(config));
    return path;
  }

  #tryKubectl(args: readonly string[]): Promise<Result> {
    return this.#place.exec(join(this.#bin, 'kubectl'), [...this.#admin, ...args]);
  }

  async #until(isSo: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await isSo())) {
      for (const program of [this.#etcd, this.#program]) {
        if (program.running && Date.now() < deadline) continue;
        throw new Error(`the API server did not start\n${this.#etcd.stderr}\n${this.#program.stderr}`);
      }
      await sleep(200);
    }
  }

  async #dispose(): Promise<void> {
    await this.#program?.stop('SIGKILL');
    await this.#etcd?.stop('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }
}
