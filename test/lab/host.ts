import { Program, type Result, type RunOptions, run, runOrThrow } from './program.js';

/** Where a host of the lab is found. */
export interface Place {
  readonly name: string;
  readonly namespace: string;
  readonly address4: string;
  readonly address6: string;
}

/** A network namespace of the lab: the node, the world outside or a pod. */
export class Host implements Place {
  readonly name: string;
  readonly namespace: string;
  readonly address4: string;
  readonly address6: string;
  readonly #programs = new Set<Program>();

  constructor({ name, namespace, address4, address6 }: Place) {
    this.name = name;
    this.namespace = namespace;
    this.address4 = address4;
    this.address6 = address6;
  }

  /** Runs a program in here to its end. */
  exec(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Result> {
    return run(this.#inside(command, args), options);
  }

  /** Runs a program that must succeed. Resolves to its standard output. @throws Error with its messages */
  must(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<string> {
    return runOrThrow(this.#inside(command, args), options);
  }

  /** Starts a program that runs on; it is stopped with the lab at the latest. */
  spawn(command: string, args: readonly string[] = [], options: RunOptions = {}): Program {
    const program = new Program(this.#inside(command, args), options);
    this.#programs.add(program);
    program.exited.then(() => this.#programs.delete(program));
    return program;
  }

  /** Runs `ip` with one command a line. @throws Error with its messages */
  async ip(commands: string): Promise<void> {
    await runOrThrow(['ip', '-n', this.namespace, '-batch', '-'], { input: commands });
  }

  /** Sets kernel parameters of this namespace. @param values by path below /proc/sys */
  async sysctl(values: Readonly<Record<string, string>>): Promise<void> {
    const script = Object.entries(values).map(([path, value]) => `echo '${value}' > /proc/sys/${path}`);
    await this.must('sh', ['-ec', script.join('\n')]);
  }

  /** Kills what was spawned in here. */
  async killPrograms(): Promise<void> {
    await Promise.all([...this.#programs].map((program) => program.stop('SIGKILL')));
  }

  #inside(command: string, args: readonly string[]): string[] {
    return ['nsenter', `--net=/run/netns/${this.namespace}`, command, ...args];
  }
}
