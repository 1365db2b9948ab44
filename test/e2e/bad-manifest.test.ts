import { join } from 'node:path';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { endpointSlice, type KubernetesObject, service, serviceWithPods } from '../lab/manifest.js';

const WEB = { name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port: 80 }] };
const GOOD = { name: 'good', clusterIPs: ['10.96.0.11'], ports: [{ port: 80 }] };
const FILE = 'web.yaml';

/** An object with one field set to something else. */
function withField(object: KubernetesObject, path: readonly (string | number)[], value: unknown): string {
  const copy = structuredClone(object) as unknown as Record<string | number, unknown>;
  let place = copy;
  for (const name of path.slice(0, -1)) place = place[name] as Record<string | number, unknown>;
  place[path.at(-1) as string] = value;
  return JSON.stringify(copy);
}

interface Case {
  readonly what: string;
  /** The documents of the file, after which comes the good slice of `web`. */
  readonly documents: readonly string[];
  /** What the log must name. */
  readonly line: {
    readonly document?: number;
    readonly object: string;
    readonly field?: string;
    readonly msg: RegExp;
  };
}

function cases(pod: Pod): Case[] {
  const web = service(WEB);
  const slice = endpointSlice(WEB, 'IPv4', [pod]);
  const refused = (field: string, msg: RegExp) => ({
    document: 1,
    object: 'Service default/web',
    field,
    msg,
  });
  const set = (path: readonly (string | number)[], value: unknown) => [
    withField(web, path, value),
    JSON.stringify(slice),
  ];
  return [
    {
      what: 'no YAML at all',
      documents: ['{ this: is [ not', JSON.stringify(slice)],
      line: {
        document: 1,
        object: 'document',
        msg: /not readable as YAML or JSON: .*\(line \d+, column \d+\)/,
      },
    },
    {
      what: 'a port beyond all ports',
      documents: set(['spec', 'ports', 0, 'port'], 70_000),
      line: refused('spec.ports[0].port', /70000 is not a port \(1-65535\)/),
    },
    {
      what: 'a ClusterIP that is no address',
      documents: set(['spec', 'clusterIPs', 0], '10.96.0.999'),
      line: refused('spec.clusterIPs[0]', /"10\.96\.0\.999" is not the IP address of a host/),
    },
    {
      what: 'a protocol that does not exist',
      documents: set(['spec', 'ports', 0, 'protocol'], 'tcp'),
      line: refused('spec.ports[0].protocol', /"tcp" is not one of TCP, UDP, SCTP/),
    },
    {
      what: 'no ports',
      documents: set(['spec', 'ports'], []),
      line: refused('spec.ports', /a Service needs at least one port/),
    },
    {
      what: 'affinity for longer than a day',
      documents: [
        withField(
          service({ ...WEB, affinity: true }),
          ['spec', 'sessionAffinityConfig', 'clientIP', 'timeoutSeconds'],
          86_401,
        ),
        JSON.stringify(slice),
      ],
      line: refused(
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
        /86401 is not a number of seconds \(1-86400\)/,
      ),
    },
    {
      what: 'a mapping where a list belongs',
      documents: set(['spec', 'ports'], { port: 80 }),
      line: refused('spec.ports', /a mapping is not a list/),
    },
    {
      what: 'an object without a name',
      documents: [JSON.stringify(web), withField(slice, ['metadata', 'name'], undefined)],
      line: { document: 2, object: 'EndpointSlice without a name', field: 'metadata.name', msg: /missing/ },
    },
    {
      what: 'an endpoint of the wrong family',
      documents: [JSON.stringify(web), withField(slice, ['endpoints', 0, 'addresses', 0], pod.address6)],
      line: {
        document: 2,
        object: 'EndpointSlice default/web-ipv4',
        field: 'endpoints[0].addresses[0]',
        msg: /is not IPv4, the slice's addressType/,
      },
    },
    {
      what: 'an alias bomb',
      documents: [bomb(), JSON.stringify(slice)],
      line: { document: 1, object: 'document', msg: /not readable as YAML or JSON: .*alias/i },
    },
    {
      what: 'a file that is empty',
      documents: [],
      line: { object: 'file', msg: /the file is empty; its last good objects stay in service/ },
    },
    {
      what: 'a Service defined twice',
      documents: [
        JSON.stringify(web),
        JSON.stringify(slice),
        withField(web, ['spec', 'clusterIPs', 0], '10.96.0.99'),
      ],
      line: {
        document: 3,
        object: 'Service default/web',
        msg: /already defined in .*document 1.*remove one/,
      },
    },
  ];
}

/** Ten levels that each name the one before ten times. */
function bomb(): string {
  const levels = Array.from({ length: 10 }, (_, i) => {
    const items = i === 0 ? 'x' : new Array(10).fill(`*l${i - 1}`).join(',');
    return `l${i}: &l${i} [${items}]`;
  });
  return `kind: Service\napiVersion: v1\n${levels.join('\n')}\n`;
}

t.setTimeout(0);

t.test('a malformed manifest is reported, and its last good version is served', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
  const pod = lab.pod('a');
  await startBackend(pod, { tcp: { 80: 'http' } });
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: serviceWithPods(GOOD, [pod]) });
  const ask = (address: string) =>
    lab.pod('client').exec('curl', ['-sS', '--max-time', '5', `http://${address}`]);
  const good = serviceWithPods(WEB, [pod]).map((object) => JSON.stringify(object));
  const isServed = async () => (await ask('10.96.0.10')).stdout === 'a\n';
  const path = join(kubePortal.manifestDirectory, FILE);

  kubePortal.writeManifest(FILE, good.join('\n---\n'));
  await kubePortal.until(isServed, 'web is served');
  for (const { what, documents, line } of cases(pod)) {
    await t.test(what, async (t) => {
      const seen = kubePortal.log.length;
      kubePortal.writeManifest(FILE, documents.join('\n---\n'));
      const said = await kubePortal.program.waitFor(() => kubePortal.log[seen] ?? null, 'a line about it');
      t.match(said, { level: 50, file: path, ...line });
      t.ok(await isServed(), 'the last good version is still served');
      t.equal((await ask('10.96.0.11')).stdout, 'a\n', 'so are the others');
      t.equal(await kubePortal.healthz(), 200);
    });
  }

  await t.test('a value of 300 KB with control characters gives a printable line', async (t) => {
    kubePortal.writeManifest('long.yaml', `apiVersion: v1\nkind: "\\e[2J${'x'.repeat(300_000)}"\n`);
    const said = await kubePortal.waitForLog(({ file }) => String(file).endsWith('long.yaml'));
    t.match(said.kinds, [/^v1 \\u001b\[2Jx{4000,}\.\.\. \(\d+ more characters\)$/]);
    t.ok(kubePortal.program.stdout.split('\n').every(({ length }) => length < 10_000));
  });

  kubePortal.writeManifest(FILE, good.join('\n---\n').replaceAll('10.96.0.10', '10.96.0.20'));
  await kubePortal.until(
    async () => (await ask('10.96.0.20')).stdout === 'a\n',
    'the mended file takes effect',
  );
  t.equal(await kubePortal.stop(), 0);
});
