/**
 * Collects the garbage of this thread until no more comes free, compacts its heap, and drops compiled
 * functions that did not run again. A single collection leaves many pages of the heap half empty. Only the
 * inspector can tell V8 that memory is low; a session inside the process opens no port. V8 may collect only
 * when this thread is back in Node's event loop, so the thread must not block before the promise resolves.
 *
 * @throws Error where Node.js was built without the inspector, or where V8 refuses
 */
export async function collectStartupGarbage(): Promise<void> {
  const { Session } = await import('node:inspector');
  const session = new Session();
  session.connect();
  try {
    await new Promise<void>((resolve, reject) => {
      session.post('HeapProfiler.collectGarbage', (error) => (error === null ? resolve() : reject(error)));
    });
  } finally {
    session.disconnect();
  }
}
