import type { RunningSubject, SubjectContext } from './subject.ts';
import { FORM_HEADERS } from './subject.ts';

/** Nobody between the client and the replay. */
export function direct({ replay }: Pick<SubjectContext, 'replay'>): RunningSubject {
  return {
    name: 'direct',
    pid: 0,
    indexUrl: replay.indexUrl,
    page: (project, form) => ({
      url: `${replay.indexUrl}${project}/`,
      headers: FORM_HEADERS[form],
    }),
    stop: () => Promise.resolve(),
  };
}
