import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NotFoundError, RefusedError, WheelcellarError } from '../../src/core/errors.ts';
import { installService, uninstallService } from '../../src/service/install.ts';
import type { ServiceHost } from '../../src/service/install.ts';
import { programRunner } from '../../src/service/run-program.ts';
import { runCommand } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { TempFolder } from '../support/temp-folder.ts';

const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;
const service = {
  nodePath: process.execPath,
  binPath: '/opt/wheel cellar/bin/wheelcellar.js',
  flags: ['--cache-dir', '/srv/pypi'],
};

let folder: TempFolder;
let programs: string;

beforeEach(async () => {
  folder = await makeTempFolder();
  programs = join(folder.path, 'bin');
  await mkdir(programs);
});

afterEach(() => folder.remove());

/** Stands for a service manager: writes down what it is asked, and fails when `failing` matches. */
async function fakeManager(name: string, failing = 'never'): Promise<void> {
  const script = `#!/bin/sh
echo "${name} $*" >> "${folder.path}/asked"
case "$*" in ${failing}) echo "no such luck"; exit 1;; esac
`;
  await writeFile(join(programs, name), script);
  await chmod(join(programs, name), 0o755);
}

async function asked(): Promise<string[]> {
  return (await readFile(join(folder.path, 'asked'), 'utf8')).trim().split('\n');
}

function host(platform: string, path = `${programs}${delimiter}/bin`): ServiceHost {
  return { platform, homeDir: folder.path, userId: 501, run: programRunner({ PATH: path }) };
}

const unitPath = (): string => join(folder.path, '.config/systemd/user/wheelcellar.service');

describe('installing a systemd user service', () => {
  it('writes the unit, enables and starts it', async () => {
    await fakeManager('systemctl');
    const report = await installService(host('linux'), service);
    expect(report).toMatchObject({ path: unitPath(), isDone: true, commandsLeft: [] });
    expect(report.hints.join('\n')).toContain('loginctl enable-linger');
    expect((await asked()).slice(-2)).toEqual([
      'systemctl --user daemon-reload',
      'systemctl --user enable --now wheelcellar.service',
    ]);
  });

  it('can be repeated, which restarts the service with the new unit', async () => {
    await fakeManager('systemctl');
    await installService(host('linux'), service);
    await installService(host('linux'), { ...service, flags: ['--cache-dir', '/srv/other'] });
    expect(await readFile(unitPath(), 'utf8')).toContain('"/srv/other"');
    expect(await asked()).toContain('systemctl --user disable --now wheelcellar.service');
  });

  it('leaves a unit alone that it did not write', async () => {
    await fakeManager('systemctl');
    await mkdir(join(unitPath(), '..'), { recursive: true });
    await writeFile(unitPath(), '[Service]\nExecStart=/bin/mine\n');
    await expect(installService(host('linux'), service)).rejects.toThrow(RefusedError);
    await expect(uninstallService(host('linux'))).rejects.toThrow(RefusedError);
    expect(await readFile(unitPath(), 'utf8')).toContain('/bin/mine');
  });

  it('writes the unit and tells the commands when there is no user bus', async () => {
    await fakeManager('systemctl', '*');
    const report = await installService(host('linux'), service);
    expect(report).toMatchObject({ isDone: false, problem: 'no such luck' });
    expect(report.commandsLeft).toEqual([
      'systemctl --user daemon-reload',
      'systemctl --user enable --now wheelcellar.service',
    ]);
    expect(await readFile(unitPath(), 'utf8')).toContain('ExecStart=');
  });

  it('writes the unit and tells the commands when systemctl is absent', async () => {
    const report = await installService(host('linux', programs), service);
    expect(report.isDone).toBe(false);
    expect(report.problem).toContain('systemctl is not installed');
    expect(report.commandsLeft).toHaveLength(2);
  });

  it('fails with the words of systemctl when the service does not start', async () => {
    await fakeManager('systemctl', '*enable*');
    const attempt = installService(host('linux'), service);
    await expect(attempt).rejects.toThrow(WheelcellarError);
    await expect(attempt).rejects.toThrow(/enable --now wheelcellar.service` failed: no such luck/);
  });

  it.skipIf(!hasAnalyze)('writes a unit that systemd-analyze accepts', async () => {
    await fakeManager('systemctl');
    await installService(host('linux'), service);
    const args = ['--user', '--man=no', 'verify', unitPath()];
    const result = await runCommand('systemd-analyze', args, {
      env: { ...process.env, XDG_RUNTIME_DIR: folder.path },
    });
    expect(result.stderr).not.toContain(unitPath());
    expect(result.stderr).not.toMatch(/Unknown|Failed to parse|ignoring/i);
  });
});

describe('removing a systemd user service', () => {
  it('stops it and takes its files away', async () => {
    await fakeManager('systemctl');
    await installService(host('linux'), service);
    const report = await uninstallService(host('linux'));
    expect(report.isDone).toBe(true);
    await expect(readFile(unitPath())).rejects.toThrow('ENOENT');
    expect((await asked()).slice(-3)).toEqual([
      'systemctl --user disable --now wheelcellar.service',
      'systemctl --user show-environment',
      'systemctl --user daemon-reload',
    ]);
  });

  it('removes the link that enabled it when systemctl cannot', async () => {
    await installService(host('linux', programs), service);
    const wants = join(unitPath(), '..', 'default.target.wants');
    await mkdir(wants);
    await symlink(unitPath(), join(wants, 'wheelcellar.service'));
    await uninstallService(host('linux', programs));
    await expect(readFile(join(wants, 'wheelcellar.service'))).rejects.toThrow('ENOENT');
  });

  it('says so when there is none', async () => {
    await expect(uninstallService(host('linux'))).rejects.toThrow(NotFoundError);
  });
});

describe('a launchd agent', () => {
  it('is loaded into the domain of the user and unloaded again', async () => {
    await fakeManager('launchctl', 'bootout*');
    const { path, isDone } = await installService(host('darwin'), service);
    expect(isDone).toBe(true);
    expect((await asked()).at(-1)).toBe(`launchctl bootstrap gui/501 ${path}`);
    await uninstallService(host('darwin'));
    expect(await asked()).toContain('launchctl bootout gui/501/wheelcellar');
    await expect(readFile(path)).rejects.toThrow('ENOENT');
  });
});

it('names what it cannot do on another system', async () => {
  await expect(installService(host('win32'), service)).rejects.toThrow(
    /no service set-up for win32/,
  );
});
