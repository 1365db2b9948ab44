import { type FileHandle, mkdir, open, rename, rm, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Replaces a file in one step: after a crash, either the old file or the new file is there. Makes the
 * directory if it is missing. If the path or the temporary path is a link or another kind of file, it is
 * replaced, never followed or written to.
 */
export async function replaceFile(file: string, text: string): Promise<void> {
  const written = await replaceFileBy(file, 0o644, (handle) => handle.writeFile(text));
  await written.close();
}

/**
 * As {@link replaceFile}, with a function that writes the new content.
 * @param mode permission bits of the new file
 * @returns the new file, open for writing at its end. The caller closes it.
 */
export async function replaceFileBy(
  file: string,
  mode: number,
  write: (handle: FileHandle) => Promise<void>,
): Promise<FileHandle> {
  const temporary = temporaryPathOf(file);
  await makeDirectory(dirname(file));
  // Removes a file that a crash or another program left. If that fails, the exclusive open (O_EXCL) reports
  // it.
  await unlink(temporary).catch(() => undefined);
  const handle = await open(temporary, 'wx', mode);
  try {
    await write(handle);
    await rename(temporary, file);
    return handle;
  } catch (error) {
    await handle.close();
    // On a full disk, half a file would take room from other files.
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

/**
 * Makes a directory and its parents, if they are missing. Node's recursive mkdir is not used, because on a
 * read-only disk it fails with ENOENT.
 */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o755 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw error;
    await makeDirectory(dirname(path));
    await mkdir(path, { mode: 0o755 });
  }
}

/** Removes a file, if it exists, and the temporary file that a crash may have left. */
export async function removeFile(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(temporaryPathOf(file), { force: true });
}

function temporaryPathOf(file: string): string {
  return `${file}.new`;
}
