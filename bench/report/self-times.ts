/** What `node --cpu-prof` writes, as far as it is read here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      /** From 0. */
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

/** A function and its share of the time that was not idle, 0 … 1, without what it calls. */
export interface SelfTime {
  readonly name: string;
  /** `file:///…:line`, `node:…:line`, or empty for what is not JavaScript. */
  readonly place: string;
  readonly share: number;
}

/** A part of a profile, milliseconds from its start. */
export interface ProfileWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The functions with the largest self times within the window, largest first. */
export function topFunctions(
  profile: CpuProfile,
  count: number,
  window: ProfileWindow = { fromMs: 0, toMs: Infinity },
): SelfTime[] {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, { name: string; place: string; micros: number }>();
  let [busyMicros, now] = [0, 0];
  profile.samples.forEach((id, at) => {
    const frame = frames.get(id);
    now += profile.timeDeltas[at] ?? 0;
    if (now < window.fromMs * 1000 || now > window.toMs * 1000) return;
    if (frame === undefined || frame.functionName === '(idle)') return;
    const place = frame.url === '' ? '' : `${frame.url}:${frame.lineNumber + 1}`;
    const name = frame.functionName === '' ? '(anonymous)' : frame.functionName;
    const entry = times.get(`${name} ${place}`) ?? { name, place, micros: 0 };
    times.set(`${name} ${place}`, entry);
    const micros = profile.timeDeltas[at] ?? 0;
    entry.micros += micros;
    busyMicros += micros;
  });
  return [...times.values()]
    .toSorted((a, b) => b.micros - a.micros)
    .slice(0, count)
    .map(({ name, place, micros }) => ({ name, place, share: micros / busyMicros }));
}
