import { BOTH } from './contender.js';
import { type PeerConfiguration, peer } from './peer.js';

/**
 * A flow takes two of a worker's connections until it is idle for so long. With nginx's ten minutes, two
 * seconds of new flows take all of them, and whatever is measured next finds none. `proxy_responses` would
 * end flows with their last answer, but doubles nginx's CPU time where flows are longer than one round trip.
 */
const UDP_TIMEOUT = '500ms';

/** @param udpOptions options of the UDP listeners */
function configure({ tcp, udp, directory }: PeerConfiguration, udpOptions: string): string {
  const servers = [
    ...tcp.map(({ listen, backend }) => `listen ${listen} reuseport backlog=4096; proxy_pass ${backend};`),
    ...udp.map(
      ({ listen, backend }) =>
        `listen ${listen} udp reuseport${udpOptions}; proxy_timeout ${UDP_TIMEOUT}; proxy_pass ${backend};`,
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

const command = (file: string) => ['nginx', '-c', file] as const;
const needs = { program: 'nginx', packages: 'nginx libnginx-mod-stream' };

export const nginx = peer(
  { id: 'nginx', title: 'nginx stream, 2 workers', protocols: BOTH, needs },
  (configuration) => configure(configuration, ' rcvbuf=4m sndbuf=4m'),
  command,
);

/** With the kernel's default buffers, as most people run it. Bursts of DDS do not fit into them. */
export const plainNginx = peer(
  { id: 'nginx-plain', title: 'nginx stream, default UDP buffers', protocols: ['UDP'], needs },
  (configuration) => configure(configuration, ''),
  command,
);
