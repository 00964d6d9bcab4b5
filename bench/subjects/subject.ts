import type { Children } from '../children.ts';
import type { Target } from '../load/client.ts';
import type { Replay } from '../replay/replay-process.ts';
import type { SubjectName } from '../report/result.ts';
import type { Tools } from '../tools.ts';

/** What a page is asked for as. */
export type PageForm = 'html' | 'gzip' | 'json';

/** The request headers of each form, as an installer of that kind sends them. */
export const FORM_HEADERS: Readonly<Record<PageForm, Readonly<Record<string, string>>>> = {
  html: { accept: 'text/html' },
  gzip: { accept: 'text/html', 'accept-encoding': 'gzip' },
  json: { accept: 'application/vnd.pypi.simple.v1+json' },
};

/** What a subject is started with. */
export interface SubjectContext {
  readonly children: Children;
  readonly replay: Replay;
  readonly tools: Tools;
  /** Empty, of its own, deleted by whoever made it. */
  readonly folder: string;
}

/** A subject that answers. */
export interface RunningSubject {
  readonly name: SubjectName;
  /** The head of its processes. */
  readonly pid: number;
  /** For installers. */
  readonly indexUrl: string;
  page(project: string, form: PageForm): Target;
  stop(): Promise<void>;
}
