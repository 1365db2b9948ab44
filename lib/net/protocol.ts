/** The protocols that are proxied. */
export type Protocol = 'TCP' | 'UDP';
