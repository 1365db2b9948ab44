/**
 * The text of a file in UTF-8 or UTF-16. PowerShell 5 writes UTF-16 for `kubectl ... > file`. As YAML 1.2.2
 * requires in 5.2, the byte order mark tells the encoding. Without it, a zero byte beside the first
 * character, which is ASCII, means UTF-16.
 */
export function textOf(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first !== 0 && second === 0)) return utf16('utf-16le', bytes);
  if ((first === 0xfe && second === 0xff) || (first === 0 && second !== 0)) return utf16('utf-16be', bytes);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}

/** The text without the byte order mark. */
function utf16(encoding: 'utf-16le' | 'utf-16be', bytes: Uint8Array): string {
  return new TextDecoder(encoding).decode(bytes);
}
