import { join } from 'node:path';
import { Option } from 'commander';
import type { Config } from '../config/config.ts';
import { ConfigurationError } from '../core/errors.ts';
import { proxyText, staticText } from '../service/nginx-text.ts';
import { EXIT } from './exit-status.ts';
import type { Io, Verb } from './verb.ts';

/** The internal path of files where the settings name none. */
const DEFAULT_ACCEL_REDIRECT = '/wheelcellar-files/';

/** An address and a port, or a port: nothing that could end the directive. */
const LISTEN = /^(?:[A-Za-z0-9.*-]+:|\[[0-9a-fA-F:]+\]:)?\d{1,5}$/;
const SERVER_NAME = /^(?:_|[A-Za-z0-9.*-]+)$/;

/** `wheelcellar nginx-config`: what nginx needs to serve this cache folder, with a server behind it or without. */
export const verb: Verb = {
  name: 'nginx-config',
  summary: 'Print an nginx configuration for this cache folder',
  configure: (command) => {
    command
      .option('--static', 'serve what is held by nginx alone, with no server running')
      .addOption(
        new Option('--front <port>', 'port, or address with port, for nginx').default('80'),
      )
      .addOption(new Option('--server-name <name>', 'name that clients use').default('_'))
      .option('--snippet', 'only what stands inside http { }, for a file below conf.d');
  },
  run: async ({ io, options, config }) => {
    const settings = config();
    const common = {
      mirrorDir: unquotable(join(settings.cache.dir, 'mirror')),
      listen: checked('--front', options['front'], LISTEN, '80, 8080 or 127.0.0.1:8080'),
      serverName: checked('--server-name', options['serverName'], SERVER_NAME, 'a host name, or _'),
      isSnippet: options['snippet'] === true,
    };
    if (options['static'] === true) {
      io.stdout.write(staticText(common));
      return EXIT.ok;
    }
    const { accelRedirect } = settings;
    if (accelRedirect === null) adviseRedirect(io);
    io.stdout.write(
      proxyText({
        ...common,
        upstream: upstreamOf(settings),
        accelRedirect: accelRedirect ?? DEFAULT_ACCEL_REDIRECT,
      }),
    );
    return EXIT.ok;
  },
};

function adviseRedirect(io: Io): void {
  io.stderr.write(
    `accel_redirect is not set: nginx will pass every byte on.
To let it send held files by itself, set accel_redirect: ${DEFAULT_ACCEL_REDIRECT}
`,
  );
}

function checked(flag: string, value: unknown, form: RegExp, forms: string): string {
  const text = String(value);
  if (form.test(text)) return text;
  throw new ConfigurationError([`${flag} is ${JSON.stringify(text)}; give ${forms}.`]);
}

/** Nginx would take `$` for the beginning of a variable, and has no way to say that it is none. */
function unquotable(path: string): string {
  if (!path.includes('$')) return path;
  throw new ConfigurationError([`nginx cannot be told a folder with a $ in its name: ${path}.`], {
    hint: 'Choose another one with --cache-dir.',
  });
}

/** Where nginx reaches the server of these settings. */
function upstreamOf({ unix, listen }: Config): string {
  if (unix !== null) return `unix:${unix}`;
  const [first] = listen;
  if (first === undefined || first.port === 0) {
    throw new ConfigurationError(['There is no port that nginx could ask: listen has none.'], {
      hint: 'Give listen a port of its own, such as 127.0.0.1:3141.',
    });
  }
  const host = first.host === '0.0.0.0' || first.host === '::' ? '127.0.0.1' : first.host;
  return `${host.includes(':') ? `[${host}]` : host}:${first.port}`;
}
