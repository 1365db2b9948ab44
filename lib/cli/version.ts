import { readFileSync } from 'node:fs';

/** package.json is beside dist/, both in the repository and in an installed package. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
