/**
 * The form of a host before a port. An IPv6 address gets brackets (RFC 3986, 3.2.2), other hosts stay as they
 * are.
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
  /** Null if the text has no port. NaN if nothing follows the colon. */
  readonly port: number | null;
}

/**
 * Splits a text at its brackets and colon. Null if there are brackets or colons in other places. Host and
 * port are not checked.
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
