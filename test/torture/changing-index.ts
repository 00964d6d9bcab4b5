import type { FakeFile, FakeUpstream } from '../support/fake-upstream.ts';
import { pathOfFile, sha256Of } from '../support/fake-upstream-pages.ts';
import { noise } from '../support/fill-stage.ts';
import type { TargetFile } from './bad-weather.ts';

/** Among the many, a few that are large enough for ranges beside their fill. */
const LARGE_BYTES = 12 * 1024 * 1024;
const LARGE_EVERY = 60;

/** An index whose projects get new versions and lose old ones all the time; its size stays. */
export class ChangingIndex {
  readonly targets: TargetFile[] = [];
  readonly projects: string[];
  readonly #upstream: FakeUpstream;
  readonly #filesEach: number;
  #made = 0;

  constructor(upstream: FakeUpstream, projects: number, filesEach: number) {
    this.#upstream = upstream;
    this.#filesEach = filesEach;
    this.projects = Array.from({ length: projects }, (_, at) => `torture-${at}`);
    for (let at = 0; at < projects * filesEach; at++) this.targets.push(this.#newTarget(at));
    for (let at = 0; at < projects; at++) this.#tell(at);
  }

  /** Puts a new version in the place of another one, somewhere. */
  change(): void {
    const at = Math.floor(Math.random() * this.targets.length);
    this.targets[at] = this.#newTarget(at);
    this.#tell(at % this.projects.length);
  }

  /** Files of one project lie a project's number apart, so that popular files are of many projects. */
  #newTarget(at: number): TargetFile {
    const project = this.projects[at % this.projects.length] ?? '';
    const version = this.#made++;
    const isLarge = at % LARGE_EVERY === LARGE_EVERY - 1;
    const sizeBytes = isLarge ? LARGE_BYTES : Math.round(1_000 * 3_000 ** Math.random()) & ~3;
    const content = noise(sizeBytes, version + 1);
    const filename = `${project.replace('-', '_')}-${version}-py3-none-any.whl`;
    const path = pathOfFile({ filename, content });
    return { project, filename, content, sha256: sha256Of(content), path };
  }

  #tell(project: number): void {
    const files: FakeFile[] = Array.from({ length: this.#filesEach }, (_, at) => {
      const { filename, content } = this.targets[at * this.projects.length + project]!;
      return { filename, content };
    });
    this.#upstream.setProject(this.projects[project] ?? '', files);
  }
}
