/** Far above the size that etcd allows for one object (1.5 MiB). It protects memory from a broken server. */
const MAX_LINE_BYTES = 16 << 20;

/**
 * Splits a stream of bytes into lines. Text after the last line end is dropped: the stream broke inside that
 * line.
 *
 * @throws Error if a line is longer than 16 MiB
 */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      yield Buffer.concat(parts).toString();
      parts = [];
      bytes = 0;
      start = end + 1;
    }
    if (start === chunk.length) continue;
    parts.push(chunk.subarray(start));
    bytes += chunk.length - start;
    if (bytes > MAX_LINE_BYTES) {
      throw new Error(`the server sent a line of more than ${MAX_LINE_BYTES >> 20} MiB`);
    }
  }
}
