import { fileURLToPath } from 'node:url';
import { Remote } from '../remote.ts';
import type { RawAnswer, RawNodeQuestions } from './raw-node-server.ts';
import type { RunningSubject, SubjectContext } from './subject.ts';

/** The least that a server in Node can do: what ours answered, from a table. */
export interface RawNode extends RunningSubject {
  readonly origin: string;
  /** Adds an answer to the table. */
  add(answer: RawAnswer): Promise<void>;
}

/** Starts it with an empty table; pages are at `/<project>/<form>`. */
export async function startRawNode({ children }: SubjectContext): Promise<RawNode> {
  const path = fileURLToPath(new URL('raw-node-server.ts', import.meta.url));
  const remote = await Remote.start<RawNodeQuestions>(children, path);
  const origin = `http://127.0.0.1:${await remote.ask('listen', undefined)}`;
  return {
    name: 'raw node',
    pid: remote.child.pid ?? 0,
    origin,
    indexUrl: `${origin}/`,
    page: (project, form) => ({ url: `${origin}/${project}/${form}`, headers: {} }),
    add: (answer) => remote.ask('add', answer),
    stop: () => remote.stop(),
  };
}
