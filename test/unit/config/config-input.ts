import { ConfigurationError } from '../../../src/core/errors.ts';
import type { ConfigInput } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load-config.ts';

/** Input from texts alone: `files` maps absolute paths to their content. */
export function inputOf(
  parts: Omit<Partial<ConfigInput>, 'readFile'> & { readonly files?: Record<string, string> } = {},
): ConfigInput {
  const { files = {}, ...rest } = parts;
  return {
    env: {},
    homeDir: '/home/ana',
    cwd: '/work',
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return text;
    },
    ...rest,
  };
}

/** Input whose only source is a configuration file with this text, at `/etc/wheelcellar.yaml`. */
export function fileInput(text: string): ConfigInput {
  return inputOf({ configFile: '/etc/wheelcellar.yaml', files: { '/etc/wheelcellar.yaml': text } });
}

/** The problems that loading finds; none when it succeeds. */
export function problemsWith(input: ConfigInput): readonly string[] {
  try {
    loadConfig(input);
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}
