/** How far away the replayed index is, and what goes wrong there. */
export interface Weather {
  /** Before each answer. */
  readonly latencyMs: number;
  /** No request of a connection counts as asked before it is so old: what TCP and TLS handshakes would take. */
  readonly handshakeMs: number;
  /** Rate of each file's body; `null` for as fast as it goes. */
  readonly bytesPerSecond: number | null;
  /** Rate of all bodies together, pages included; `null` for as fast as it goes. */
  readonly linkBytesPerSecond: number | null;
  readonly fault: ReplayFault | null;
}

/** A fault that strikes so many requests whose path fits. */
interface ReplayFault {
  /** Source of a regular expression. */
  readonly path: string;
  readonly kind: 'status' | 'reset' | 'stall';
  readonly times: number;
}

/** Next door, and all is well. */
export const QUIET: Weather = {
  latencyMs: 0,
  handshakeMs: 0,
  bytesPerSecond: null,
  linkBytesPerSecond: null,
  fault: null,
};

/** What was asked of the replayed index. */
export interface Counts {
  /** Path → number of GETs. */
  readonly gets: Readonly<Record<string, number>>;
  /** Of bodies. */
  readonly bytesSent: number;
}
