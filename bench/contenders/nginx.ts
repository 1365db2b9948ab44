import { BOTH } from './contender.js';
import { type PeerConfiguration, peer } from './peer.js';

function configure({ tcp, udp, directory }: PeerConfiguration): string {
  const servers = [
    ...tcp.map(({ listen, backend }) => `listen ${listen} reuseport backlog=4096; proxy_pass ${backend};`),
    ...udp.map(
      ({ listen, backend }) => `listen ${listen} udp reuseport rcvbuf=4m sndbuf=4m; proxy_pass ${backend};`,
    ),
  ];
  return `
    load_module /usr/lib/nginx/modules/ngx_stream_module.so;
    daemon off;
    pid ${directory}/nginx.pid;
    error_log stderr crit;
    worker_processes 2;
    worker_rlimit_nofile 20000;
    events { worker_connections 19000; multi_accept on; }
    stream {
      access_log off;
      tcp_nodelay on;
      proxy_buffer_size 64k;
      proxy_connect_timeout 5s;
      ${servers.map((server) => `server { ${server} }`).join('\n      ')}
    }
  `;
}

export const nginx = peer(
  {
    id: 'nginx',
    title: 'nginx stream, 2 workers',
    protocols: BOTH,
    needs: { program: 'nginx', packages: 'nginx libnginx-mod-stream' },
  },
  configure,
  (file) => ['nginx', '-c', file],
);
