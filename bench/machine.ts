import { availableParallelism, cpus, release } from 'node:os';

/** Where and when something was measured, in one line. */
export function machine(): string {
  const model = cpus()[0]?.model ?? process.arch;
  const date = new Date().toISOString().slice(0, 10);
  return `${availableParallelism()} cores of ${model}, Linux ${release()}, Node.js ${process.version}, ${date}`;
}
