import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces a file in one step: after a crash it is the old one or the new one. Makes its directory if need be. */
export async function replaceFile(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(successorOf(file), text);
  await rename(successorOf(file), file);
}

/** Removes a file, if it is there, with what a crash has left of its successor. */
export async function removeFile(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(successorOf(file), { force: true });
}

function successorOf(file: string): string {
  return `${file}.new`;
}
