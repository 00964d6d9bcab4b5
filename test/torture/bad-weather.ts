import type { FakeUpstream, Fault } from '../support/fake-upstream.ts';
import { noise } from '../support/fill-stage.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';

/** One file that clients ask for. */
export interface TargetFile {
  readonly project: string;
  readonly filename: string;
  readonly content: Buffer;
  readonly sha256: string;
  /** Below the origin, at the upstream and at the mirror. */
  readonly path: string;
}

/** Fits by chance: a fault of the fake upstream then strikes that share of the requests. */
class Sometimes extends RegExp {
  readonly #share: number;

  constructor(source: string, share: number) {
    super(source);
    this.#share = share;
  }

  override test(path: string): boolean {
    return super.test(path) && Math.random() < this.#share;
  }
}

/** Adds projects with files from 1 kB to 3 MB; each requires another one, as far as an installer can see. */
export function addTargets(upstream: FakeUpstream, projects: number, each: number): TargetFile[] {
  const targets: TargetFile[] = [];
  for (let project = 0; project < projects; project++) {
    const name = `torture-${project}`;
    const files = Array.from({ length: each }, (_, version) => {
      const sizeBytes = Math.round(1_000 * 3_000 ** Math.random()) & ~3;
      const content = noise(sizeBytes, project * each + version + 1);
      const required = `torture-${(project * 7 + 3) % projects}`;
      const metadata = `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\nRequires-Dist: ${required}\n`;
      return { filename: `torture_${project}-${version}-py3-none-any.whl`, content, metadata };
    });
    upstream.setProject(name, files);
    for (const { filename, content } of files) {
      const path = upstream.filePath(filename);
      targets.push({ project: name, filename, content, sha256: sha256Of(content), path });
    }
  }
  return targets;
}

/**
 * 5 % errors, 8 % cuts of three kinds, up to 11 % flipped bits (small files end before the later ones), 3 %
 * stalls, a tenth slow, a tenth without length; and all of it far enough away to be asked ahead of installers.
 */
export function letItRain(upstream: FakeUpstream): void {
  const faults: [share: number, fault: Fault][] = [
    [0.1, { bytesPerSecond: 1_500_000 }],
    [0.1, { chunked: true }],
    [0.05, { status: 500 }],
    [0.02, { cutAfter: 900 }],
    [0.03, { cutAfter: 50_000, cutWith: 'close' }],
    [0.03, { cutAfter: 800, cutWith: 'chunked' }],
    [0.05, { flipByteAt: 500 }],
    [0.03, { flipByteAt: 20_000 }],
    [0.03, { flipByteAt: 200_000 }],
    [0.01, { stallAfter: 50_000 }],
    [0.02, { delayMs: 1_500 }],
  ];
  upstream.fault('*', { delayMs: 12 });
  for (const [share, fault] of faults) upstream.fault(new Sometimes('packages', share), fault);
}

/** Half a percent each of errors, cuts, flipped bits, stalls and pages that fail; a tenth slow. */
export function drizzle(upstream: FakeUpstream): void {
  const faults: [where: string, share: number, fault: Fault][] = [
    ['packages', 0.1, { bytesPerSecond: 2_000_000 }],
    ['packages', 0.005, { status: 500 }],
    ['packages', 0.005, { cutAfter: 50_000 }],
    ['packages', 0.005, { cutAfter: 900, cutWith: 'chunked' }],
    ['packages', 0.005, { flipByteAt: 500 }],
    ['packages', 0.005, { flipByteAt: 200_000 }],
    ['packages', 0.005, { stallAfter: 50_000 }],
    ['simple', 0.005, { status: 503 }],
  ];
  for (const [where, share, fault] of faults) upstream.fault(new Sometimes(where, share), fault);
}
