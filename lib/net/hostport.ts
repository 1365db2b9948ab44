/**
 * A host as it stands before a port: an IPv6 address in brackets (RFC 3986, 3.2.2), anything else as it is.
 */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** `10.96.0.10:80`, `[fd00::10]:80`, `node-1:80`. */
export function hostPort(host: string, port: number | string): string {
  return `${bracketed(host)}:${port}`;
}

/** The parts of `host`, `host:port`, `[host]` or `[host]:port`. */
export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly isBracketed: boolean;
  /** Null where the text has none, and NaN where nothing follows the colon. */
  readonly port: number | null;
}

/**
 * Parts a text at its brackets and colon, or null if it has other brackets or colons.
 * It checks neither host nor port.
 */
export function parseHostPort(text: string): HostPort | null {
  const match = /^(?:\[(?<inner>[^\]]*)\]|(?<plain>[^:[\]]*))(?::(?<port>\d*))?$/.exec(text)?.groups;
  if (match === undefined) return null;
  const { inner, plain = '', port } = match;
  return {
    host: inner ?? plain,
    isBracketed: inner !== undefined,
    port: port === undefined ? null : Number.parseInt(port, 10),
  };
}
