import { type PeerConfiguration, peer } from './peer.js';

/** Pipes for splicing need descriptors. By default HAProxy reserves them for a quarter of its connections. */
function configure({ tcp }: PeerConfiguration): string {
  const proxies = tcp.map(
    ({ listen, backend }) => `
listen p${listen}
  bind 0.0.0.0:${listen} backlog 4096
  server backend ${backend}`,
  );
  return `
global
  nbthread 2
  maxconn 9500
  maxpipes 200
  tune.bufsize 65536
defaults
  mode tcp
  maxconn 9500
  option splice-auto
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${proxies.join('\n')}
`;
}

export const haproxy = peer(
  {
    id: 'haproxy',
    title: 'HAProxy, 2 threads',
    protocols: ['TCP'],
    needs: { program: 'haproxy', packages: 'haproxy' },
  },
  configure,
  (file) => ['haproxy', '-db', '-f', file],
);
