/** The addresses of the Service under test. */
export const VIPS = ['10.96.0.10', 'fd00:96::10'] as const;

/** A Service of both families and protocols. */
export const ECHO = {
  name: 'echo',
  clusterIPs: VIPS,
  ports: [
    { name: 'tcp', protocol: 'TCP', port: 7 },
    { name: 'udp', protocol: 'UDP', port: 7 },
  ],
} as const;

/** Port 80 of both protocols, which pods serve at 8080. */
export const WEB_PORTS = (['TCP', 'UDP'] as const).map((protocol) => ({
  name: protocol.toLowerCase(),
  protocol,
  port: 80,
  targetPort: 8080,
}));
