/** What is measured and what is asked of it: data alone. */
import type { PackageSetName } from './replay/package-sets.ts';
import type { Target } from './report/result.ts';

/** Groups of rows, in the order they are measured, with the heading of each. */
export const GROUPS: Readonly<Record<string, string>> = {
  pages: 'Pages that are held',
  files: 'Files that are held',
  cold: 'A file that is not held yet',
  crowd: 'Many clients, one object that is not held yet',
  memory: 'Eight clients, one gigabyte',
  installs: 'Real installs',
  restart: 'Starting with what is held',
  growth: 'Growth',
  loop: 'The event loop under a huge page',
  workers: 'Two workers against one',
  ahead: 'Installs over long ways',
};

/** Not measured unless named with `--only`. */
export const ONLY_WHEN_NAMED: ReadonlySet<string> = new Set(['ahead']);

const timesRaw = (value: number): Target => ({
  form: 'times',
  of: 'raw node',
  bound: 'at least',
  value,
});
const timesStatic = (value: number): Target => ({
  form: 'times',
  of: 'nginx static',
  bound: 'at least',
  value,
});
const timesDevpi = (value: number): Target => ({
  form: 'times',
  of: 'devpi',
  bound: 'at least',
  value,
});
const asFastAs = (row: string): Target => ({ form: 'times', row, bound: 'at least', value: 1 });

/** One page: how long, and the targets of each form. */
export interface PagePlan {
  readonly id: string;
  readonly files: number;
  readonly targets: Readonly<Record<'html' | 'gzip' | 'json' | 'notModified', readonly Target[]>>;
}

const USUAL: readonly Target[] = [timesRaw(0.9), timesStatic(0.5)];

export const HOT_PAGES: readonly PagePlan[] = [
  {
    id: 'small',
    files: 10,
    targets: {
      html: [...USUAL, timesDevpi(100)],
      gzip: USUAL,
      json: USUAL,
      notModified: [asFastAs('small page, html')],
    },
  },
  {
    id: 'typical',
    files: 300,
    targets: {
      html: USUAL,
      gzip: USUAL,
      json: USUAL,
      notModified: [asFastAs('typical page, html')],
    },
  },
  {
    id: 'huge',
    files: 5_400,
    targets: {
      html: [timesStatic(1.2)],
      gzip: [timesStatic(0.8)],
      json: [],
      notModified: [asFastAs('huge page, html')],
    },
  },
];

/** Targets of the small wheel. */
export const HOT_FILES: Readonly<Record<'wheel' | 'notModified', readonly Target[]>> = {
  wheel: [timesDevpi(60)],
  notModified: [asFastAs('small wheel')],
};

/** Large files that are held: how many at once, how often each. */
export const LARGE_FILES: {
  readonly megabytes: number;
  readonly rows: readonly {
    readonly clients: number;
    readonly times: number;
    readonly targets: readonly Target[];
  }[];
} = {
  megabytes: 100,
  rows: [
    { clients: 1, times: 5, targets: [timesStatic(0.85)] },
    { clients: 8, times: 1, targets: [timesStatic(1.5)] },
  ],
};

/** A large file on its first way through. */
export const COLD: {
  readonly megabytes: number;
  readonly firstByte: readonly Target[];
  readonly total: readonly Target[];
} = {
  megabytes: 100,
  firstByte: [{ form: 'plus', of: 'direct', bound: 'at most', value: 4 }],
  total: [{ form: 'times', of: 'nginx cache', bound: 'at most', value: 1.3 }],
};

/** Twenty who want the same: the upstream takes a second for it. */
export const CROWD: {
  readonly clients: number;
  readonly megabytes: number;
  readonly bytesPerSecond: number;
  readonly pageLatencyMs: number;
  readonly gets: readonly Target[];
  readonly followers: readonly Target[];
} = {
  clients: 20,
  megabytes: 32,
  bytesPerSecond: 32 * 1024 * 1024,
  pageLatencyMs: 100,
  gets: [{ form: 'is', bound: 'at most', value: 1 }],
  followers: [{ form: 'plus', of: 'direct', bound: 'at most', value: 20 }],
};

/** Eight at once on a file that should never be in memory as a whole. */
export const MEMORY: {
  readonly clients: number;
  readonly megabytes: number;
  readonly rounds: number;
  readonly resident: readonly Target[];
  readonly upstream: readonly Target[];
} = {
  clients: 8,
  megabytes: 1024,
  rounds: 3,
  resident: [{ form: 'is', bound: 'at most', value: 110 }],
  upstream: [{ form: 'is', bound: 'at most', value: 1.001 }],
};

/** Cached files on a restart; the target is for the largest. */
export const RESTART: {
  readonly files: readonly number[];
  readonly largest: readonly Target[];
} = {
  files: [1_000, 10_000, 100_000],
  largest: [{ form: 'is', bound: 'at most', value: 300 }],
};

/** Files on a page, and clients at once, of the growth curves. */
export const GROWTH: {
  readonly pageFiles: readonly number[];
  readonly clients: readonly number[];
} = {
  pageFiles: [10, 100, 1_000, 10_000, 30_000],
  clients: [1, 4, 16, 64, 256],
};

/** One way of installing a set of packages; each makes a row for every state of the mirror it names. */
export interface InstallScenario {
  readonly tool: 'pip' | 'uv';
  readonly set: PackageSetName;
  /** The newest of each, or an older version of each by `==`. */
  readonly versions: 'newest' | 'pinned';
  readonly latencyMs: number;
  /** What the first answer of each connection costs on top. */
  readonly handshakeMs: number;
  /**
   * What the mirror knows before: `cold` nothing, `warm` everything. With the targets of that row.
   */
  readonly states: Partial<Record<MirrorState, readonly Target[]>>;
  /** Whether devpi and proxpi take part, when they are there. */
  readonly peers: boolean;
}

export type MirrorState = 'cold' | 'warm';

const ofDirect = (value: number): Target => ({
  form: 'times',
  of: 'direct',
  bound: 'at most',
  value,
});
const WARM: readonly Target[] = [
  { form: 'times', of: 'nginx static', bound: 'at most', value: 1.1 },
];
const chain = (
  tool: InstallScenario['tool'],
  latencyMs: number,
  cold: readonly Target[],
): InstallScenario => ({
  tool,
  set: '30-chain',
  versions: 'newest',
  latencyMs,
  handshakeMs: 0,
  states: { cold, warm: WARM },
  peers: latencyMs > 0,
});

/** Measured on every run. */
export const INSTALLS: readonly InstallScenario[] = [
  chain('pip', 0, []),
  chain('pip', 50, [ofDirect(0.5)]),
  chain('uv', 0, []),
  chain('uv', 50, [ofDirect(1.05)]),
];

/** One way of installing a set over a long way. */
export interface AheadScenario {
  readonly tool: 'pip' | 'uv';
  readonly set: PackageSetName;
  readonly versions: 'newest' | 'pinned';
  readonly latencyMs: number;
  /** What each connection costs before its first answer. */
  readonly handshakeMs: number;
  /** Of the link to the index; `null` for as fast as it goes. */
  readonly linkBytesPerSecond: number | null;
  /** Of its time. */
  readonly targets: readonly Target[];
}

type Way = Pick<AheadScenario, 'versions' | 'latencyMs' | 'handshakeMs' | 'linkBytesPerSecond'>;

const way = (latencyMs: number, more: Partial<Way> = {}): Way => ({
  versions: 'newest',
  latencyMs,
  handshakeMs: 0,
  linkBytesPerSecond: null,
  ...more,
});
/** Without and with the handshakes of TCP and TLS: two round trips. */
const USUAL_WAYS: readonly Way[] = [way(0), way(50), way(50, { handshakeMs: 100 }), way(150)];
const TEN_MEGABITS = 10_000_000 / 8;
const AHEAD_WAYS: Readonly<Record<PackageSetName, readonly Way[]>> = {
  '30-chain': USUAL_WAYS.slice(0, 3),
  'flask-like': [
    ...USUAL_WAYS.slice(1),
    way(50, { versions: 'pinned' }),
    way(50, { linkBytesPerSecond: TEN_MEGABITS }),
  ],
  '25 packages': [
    way(50),
    way(50, { versions: 'pinned' }),
    way(50, { linkBytesPerSecond: TEN_MEGABITS }),
  ],
};

/** A plain proxy is ours with `--no-ahead`; nothing may be slower than that. */
const AS_A_PROXY: Target = { form: 'times', of: 'not ahead', bound: 'at most', value: 1.05 };

/** Measured with `--only ahead`: what asking ahead of the installer is worth. */
export const AHEAD_INSTALLS: readonly AheadScenario[] = (['pip', 'uv'] as const).flatMap((tool) =>
  Object.entries(AHEAD_WAYS).flatMap(([set, ways]) =>
    ways.map((each) => ({
      tool,
      set: set as PackageSetName,
      ...each,
      targets: aheadTargets(tool, set as PackageSetName, each),
    })),
  ),
);

function aheadTargets(tool: 'pip' | 'uv', set: PackageSetName, each: Way): readonly Target[] {
  // A resolver that asks for all pages at once gains where the way is longer.
  const isFarForUv = tool === 'uv' && set === 'flask-like' && each.latencyMs === 150;
  const isUsual =
    (each.latencyMs === 50 || isFarForUv) &&
    each.handshakeMs === 0 &&
    each.linkBytesPerSecond === null;
  if (!isUsual || each.versions === 'pinned') return [AS_A_PROXY];
  const direct = (value: number, subject?: 'learned'): Target => ({
    form: 'times',
    of: 'direct',
    bound: 'at most',
    value,
    ...(subject === undefined ? {} : { subject }),
  });
  const rest = (value: number, subject?: 'learned'): Target => ({
    ...direct(value, subject),
    form: 'rest',
  });
  const first = { '30-chain': { pip: 0.5, uv: 0.75 }, 'flask-like': { pip: 0.6, uv: 0.9 } };
  if (set === '25 packages') return [AS_A_PROXY, rest(0.35), rest(0.1, 'learned')];
  return [
    AS_A_PROXY,
    direct(first[set][tool]),
    ...(set === '30-chain' ? [direct(tool === 'pip' ? 0.3 : 0.45, 'learned')] : []),
    rest(0.35),
    rest(0.1, 'learned'),
  ];
}

/** Of the bytes that the upstream sends: at most half as much again, and nearly nothing in vain for pinned sets. */
export function aheadByteTargets(versions: 'newest' | 'pinned'): readonly Target[] {
  const value = versions === 'pinned' ? 1.01 : 1.5;
  return (['ours', 'learned'] as const).map((subject) => ({
    form: 'times',
    of: 'direct',
    bound: 'at most',
    value,
    ...(subject === 'ours' ? {} : { subject }),
  }));
}

/** The page under which the event loop is watched. */
export const HUGEST_PAGE: { readonly files: number } = { files: 30_000 };
