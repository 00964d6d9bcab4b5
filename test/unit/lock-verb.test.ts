import { chmod, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { captureIo } from './cli/captured-io.ts';

const FILE = `packages/aa/bb/${'c'.repeat(60)}/a-1.0-py3-none-any.whl`;
const MIRROR = 'http://127.0.0.1:3141';
const OFFICIAL_FILE = `https://files.pythonhosted.org/${FILE}`;
const LOCK = `# \u00fc\r\nversion = 1\r\n[[package]]\nname = "a"\nsource = { registry = "${MIRROR}/simple/" }\nwheels = [{ url = "${MIRROR}/${FILE}" }]`;
const CLEAN = LOCK.replace(`${MIRROR}/simple/`, 'https://pypi.org/simple').replace(
  `${MIRROR}/${FILE}`,
  OFFICIAL_FILE,
);

let folder = '';

beforeEach(async () => {
  const temp = await makeTempFolder('wheelcellar-lock-verb-');
  onTestFinished(() => temp.remove());
  folder = temp.path;
  await writeFile(join(folder, 'uv.lock'), LOCK);
});

interface Answer {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function lock(...args: readonly string[]): Promise<Answer> {
  const captured = captureIo();
  const io = { ...captured.io, cwd: folder, homeDir: folder };
  const status = await main(['lock', ...args], io);
  return { status, stdout: captured.stdout(), stderr: captured.stderr() };
}

const readLock = (): Promise<string> => readFile(join(folder, 'uv.lock'), 'utf8');

describe('lock check', () => {
  it('fails and names line and address of what leads through the mirror', async () => {
    const { status, stdout } = await lock('check', 'uv.lock');
    expect(status).toBe(1);
    expect(stdout.split('\n')).toEqual([
      `uv.lock:5: ${MIRROR}/simple/ → https://pypi.org/simple`,
      `uv.lock:6: ${MIRROR}/${FILE} → ${OFFICIAL_FILE}`,
      '',
    ]);
    expect(await readLock()).toBe(LOCK);
  });

  it('passes when there is nothing of a mirror, and makes no cache folder', async () => {
    await writeFile(join(folder, 'uv.lock'), CLEAN);
    const { status, stdout } = await lock('check', 'uv.lock');
    expect([status, stdout]).toEqual([0, 'uv.lock: no address of a mirror\n']);
    expect(await readdir(folder)).toEqual(['uv.lock']);
  });

  it('takes addresses for the mirror that are named by --mirror and by the configuration', async () => {
    const lines = (...hosts: readonly string[]): string =>
      hosts.map((host) => `--extra-index-url https://${host}/simple/\n`).join('');
    await writeFile(join(folder, 'uv.lock'), lines('pypi.corp', 'deep.corp/py', 'pypi.home'));
    await writeFile(join(folder, 'c.yaml'), 'allowed_hosts: [pypi.home]\n');
    expect((await lock('check', 'uv.lock')).status).toBe(0);
    const flags = ['--mirror', 'https://pypi.corp', '--mirror', 'https://deep.corp/py/simple/'];
    const { status, stdout } = await lock('check', 'uv.lock', '-c', 'c.yaml', ...flags, '--json');
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toEqual([
      {
        file: 'uv.lock',
        found: ['pypi.corp', 'deep.corp/py', 'pypi.home'].map((host, index) => ({
          line: index + 1,
          address: `https://${host}/simple/`,
          official: 'https://pypi.org/simple',
          reason: null,
        })),
      },
    ]);
  });
});

describe('lock canonicalize', () => {
  it('replaces the addresses and leaves every other byte', async () => {
    const bytes = Buffer.concat([Buffer.from(LOCK), Buffer.from([0xff, 0x0d])]);
    await writeFile(join(folder, 'uv.lock'), bytes);
    const { status, stdout } = await lock('canonicalize', 'uv.lock');
    expect([status, stdout]).toEqual([0, 'uv.lock: 2 addresses turned back\n']);
    const after = await readFile(join(folder, 'uv.lock'));
    expect(after).toEqual(Buffer.concat([Buffer.from(CLEAN), Buffer.from([0xff, 0x0d])]));
    expect((await lock('check', 'uv.lock')).status).toBe(0);
    expect(await readdir(folder)).toEqual(['uv.lock']);
  });

  it('keeps the mode, and a link a link', async () => {
    await mkdir(join(folder, 'sub'));
    await writeFile(join(folder, 'sub', 'real.lock'), LOCK);
    await chmod(join(folder, 'sub', 'real.lock'), 0o640);
    await symlink('sub/real.lock', join(folder, 'linked.lock'));
    expect((await lock('canonicalize', 'linked.lock')).status).toBe(0);
    expect((await stat(join(folder, 'sub', 'real.lock'))).mode & 0o777).toBe(0o640);
    expect(await readFile(join(folder, 'sub', 'real.lock'), 'utf8')).toBe(CLEAN);
    expect(
      (await readdir(folder, { withFileTypes: true })).map((each) => each.isSymbolicLink()),
    ).toContain(true);
  });

  it('does not touch a file without addresses of a mirror', async () => {
    await writeFile(join(folder, 'uv.lock'), CLEAN);
    const before = await stat(join(folder, 'uv.lock'));
    expect((await lock('canonicalize', 'uv.lock')).status).toBe(0);
    expect((await stat(join(folder, 'uv.lock'))).ino).toBe(before.ino);
  });

  it('prints the result with --stdout, tells of it with --dry-run, and then writes nothing', async () => {
    expect(await lock('canonicalize', '--stdout', 'uv.lock')).toEqual({
      status: 0,
      stdout: CLEAN,
      stderr: '',
    });
    const { status, stdout } = await lock('canonicalize', '--dry-run', 'uv.lock');
    expect(status).toBe(0);
    expect(stdout).toContain(`uv.lock:5: ${MIRROR}/simple/ → https://pypi.org/simple\n`);
    expect(stdout).toContain('uv.lock: 2 addresses would be turned back\n');
    expect(await readLock()).toBe(LOCK);
  });

  it('turns back what it can, fails for the rest and says why', async () => {
    await writeFile(
      join(folder, 'uv.lock'),
      `a @ ${MIRROR}/packages/-/local/a-1.tar.gz\nb @ ${MIRROR}/${FILE}\n`,
    );
    const { status, stdout } = await lock('canonicalize', 'uv.lock');
    expect(status).toBe(1);
    expect(stdout).toContain(
      `uv.lock:1: ${MIRROR}/packages/-/local/a-1.tar.gz cannot be turned back: it was put into this mirror by hand`,
    );
    expect(await readLock()).toBe(
      `a @ ${MIRROR}/packages/-/local/a-1.tar.gz\nb @ ${OFFICIAL_FILE}\n`,
    );
  });

  it('turns back to the upstreams of the configuration', async () => {
    const { stdout } = await lock(
      'canonicalize',
      '--stdout',
      'uv.lock',
      '--index-url',
      'https://index.corp/pypi/simple/',
    );
    expect(stdout).toContain('registry = "https://index.corp/pypi/simple/"');
    expect(stdout).toContain(`url = "https://index.corp/${FILE}"`);
  });
});

describe('lock', () => {
  it.each([
    [['check', 'nope.lock'], 'nope.lock is not there.'],
    [['check', '.'], '. cannot be read: EISDIR.'],
    [['mend', 'uv.lock'], "'mend' is invalid"],
    [['check'], "missing required argument 'files'"],
    [['check', 'uv.lock', '--mirror', 'pypi.corp'], '"pypi.corp" is no http, https or file URL'],
    [['canonicalize', '--stdout', 'uv.lock', 'b.lock'], '--stdout takes one file.'],
  ])('refuses %j', async (args, words) => {
    const { status, stderr } = await lock(...args);
    expect(status).toBe(2);
    expect(stderr).toContain(words);
  });
});
