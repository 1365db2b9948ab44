import { pino } from 'pino';
import type { Test } from 'tap';
import type { ObjectSet } from '../../lib/model/objects.js';
import { ManifestSource } from '../../lib/sources/manifest.js';
import { describeManifestProblem } from '../../lib/sources/manifest-problem.js';

const QUICK = { debounceMs: 10, maxDelayMs: 100, pollMs: 50 };

/** The YAML of a Service with one port. */
export function serviceYaml(name: string, port = 80, address = '10.96.0.10'): string {
  return `apiVersion: v1
kind: Service
metadata:
  name: ${name}
spec:
  clusterIP: ${address}
  ports:
  - port: ${port}
`;
}

/** A source under test, with the states it delivered and the lines it logged. */
export class ManifestHarness {
  readonly lines: Record<string, unknown>[] = [];
  readonly states: ObjectSet[] = [];
  readonly source: ManifestSource;
  #wake = () => {};

  constructor(t: Test, paths: string[]) {
    const log = pino({ level: 'debug' }, { write: (line: string) => void this.lines.push(JSON.parse(line)) });
    this.source = new ManifestSource(paths, log, QUICK);
    t.teardown(() => this.source.stop());
  }

  start(): Promise<void> {
    return this.source.start((objects) => {
      this.states.push(objects);
      this.#wake();
    });
  }

  get now(): ObjectSet {
    return this.states.at(-1)!;
  }

  /** Names and first ports of the Services at present. */
  get services(): string[] {
    return [...this.now.services.values()].map(({ name, ports }) => `${name}:${ports[0]!.port}`).sort();
  }

  /** Problems with file names cut down to their last part. */
  get problems(): string[] {
    return this.source.problems.map((problem) => describeManifestProblem(problem).replaceAll(/\/\S*\//g, ''));
  }

  /** Waits until `condition` is true. There is no time limit of its own. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 20);
      });
    }
  }
}
