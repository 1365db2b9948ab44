import type { PortalName } from '../portal/status.js';

/** The labels that name a Service port. */
export function portalLabels({ service: key, portName, protocol, family }: PortalName) {
  const [namespace = '', service = ''] = key.split('/', 2);
  return { namespace, service, port: portName, protocol, family };
}

/** The labels of a series in the text format of Prometheus: `{namespace="default",service="web"}`. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  const texts = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  return `{${texts.join(',')}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
