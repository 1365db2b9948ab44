import { tracesIn } from '../../test/lab/traces.js';
import type { Stage } from './stage.js';

/** What kube-portal takes of the node at one moment. */
export interface Usage {
  /** Of the soak. */
  readonly second: number;
  /** Number of the process, from 1 on. */
  readonly process: number;
  /** Resident memory, MiB. */
  readonly memory: number;
  readonly descriptors: number;
  /** Entries of connection tracking on the node, also those that others made. */
  readonly entries: number;
  /** Rules and chains of iptables. */
  readonly rules: number;
}

const MEBIBYTE = 2 ** 20;

export async function readUsage({ lab, kubePortal }: Stage, second: number, process: number): Promise<Usage> {
  return {
    second,
    process,
    memory: kubePortal.rss() / MEBIBYTE,
    descriptors: kubePortal.program.descriptors(),
    entries: Number(await lab.node.must('cat', ['/proc/sys/net/netfilter/nf_conntrack_count'])),
    rules: (await tracesIn(lab.node)).length,
  };
}
