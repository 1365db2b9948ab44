/**
 * Bytes of a GUID prefix. It names one participant: a participant that starts again has a new one (DDSI-RTPS
 * 2.5, 9.3.1.5).
 */
export const PREFIX_SIZE = 12;

/**
 * Fast DDS gives a discovery server the prefix `44.53.<id>.5f.45.50.52.4f.53.49.4d.41`: "DS", the server's
 * id, "_EPROSIMA".
 */
const DISCOVERY_SERVER = /^4453([0-9a-f]{2})5f4550524f53494d41$/;

/** A prefix as 24 hexadecimal digits. @param size bytes to take, where its beginning is enough */
export function prefixText(bytes: Uint8Array, at: number, size = PREFIX_SIZE): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, size).toString('hex');
}

/** The bytes of a prefix that {@link prefixText} has written. */
export function prefixBytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function isSamePrefix(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < PREFIX_SIZE; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}

/** Whether a prefix is all zero: as a destination it stands for everyone. */
export function isZeroPrefix(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < PREFIX_SIZE; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

/** The id of a Fast DDS discovery server, 0 to 255; null for every other participant. */
export function discoveryServerId(prefix: string): number | null {
  const [, id] = DISCOVERY_SERVER.exec(prefix) ?? [];
  return id === undefined ? null : Number.parseInt(id, 16);
}
