import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from './run-command.ts';

/** A repository to clone from, with files committed by a test. */
export interface GitRepository {
  readonly folder: string;
  /** Makes a commit on a branch (made from the current one when it is new) in which these files are all there is. */
  commit(branch: string, files: Readonly<Record<string, string>>): Promise<void>;
}

/** A new, empty repository. */
export async function makeGitRepository(folder: string): Promise<GitRepository> {
  await mkdir(folder, { recursive: true });
  const git = async (...args: readonly string[]): Promise<string> => {
    const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org'];
    const result = await runCommand('git', [...identity, ...args], { cwd: folder });
    if (result.code !== 0) throw new Error(`git ${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  };
  await git('init', '--quiet', '--initial-branch', 'main');
  return {
    folder,
    commit: async (branch, files) => {
      const branches = await git('branch', '--list', branch, '--format', '%(refname:short)');
      const isUnborn = (await git('branch', '--list')).trim() === '';
      if (!isUnborn)
        await git('checkout', '--quiet', ...(branches.trim() === '' ? ['-b'] : []), branch);
      await git('rm', '-r', '-q', '-f', '--ignore-unmatch', '.');
      for (const [name, text] of Object.entries(files)) {
        await mkdir(dirname(join(folder, name)), { recursive: true });
        await writeFile(join(folder, name), text);
      }
      await git('add', '--all');
      await git('commit', '--quiet', '--allow-empty', '--message', `Change ${branch}`);
    },
  };
}
