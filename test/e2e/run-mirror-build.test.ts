import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BUILD_FLAGS, RUN_MIRROR, mirrorStage, smallIndex } from '../support/mirror-run.ts';
import { runCommand } from '../support/run-command.ts';
import { writeTarGz } from '../support/tar-writer.ts';
import type { WrittenFile } from '../support/wheel-writer.ts';
import { wordsOf } from './stage.ts';

/**
 * An sdist whose author is curious: its build writes down what it can see and reach. Its metadata is of
 * the old kind, so that a resolver has to run it, too.
 */
function curiousSdist(port: number, backendEnd = ''): WrittenFile {
  const backend = `
import json, os, socket, subprocess, sys, urllib.request, zipfile

META = "Metadata-Version: 2.1\\nName: curious\\nVersion: 1.0\\n"
INFO = "curious-1.0.dist-info"


def reaches(host, port):
    try:
        socket.create_connection((host, port), 3).close()
        return True
    except OSError:
        return False


def seen():
    index = os.environ.get("PIP_INDEX_URL") or os.environ["UV_DEFAULT_INDEX"]
    return {
        "uid": os.getuid(),
        "home": os.path.expanduser("~"),
        "names": sorted(os.environ),
        "outside": reaches("127.0.0.1", ${port}),
        "mirror": urllib.request.urlopen(index + "delta/").status,
    }


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.makedirs(os.path.join(folder, INFO))
    for name, text in (("METADATA", META), ("WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: false\\nTag: py3-none-linux_x86_64\\n")):
        with open(os.path.join(folder, INFO, name), "w") as file:
            file.write(text)
    return INFO


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "curious-1.0-py3-none-linux_x86_64.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("curious.json", json.dumps(seen()))
        wheel.writestr(INFO + "/METADATA", META)
        wheel.writestr(INFO + "/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: false\\nTag: py3-none-linux_x86_64\\n")
        wheel.writestr(INFO + "/RECORD", "")
    ${backendEnd}
    return name
`;
  const files = {
    'PKG-INFO': 'Metadata-Version: 1.2\nName: curious\nVersion: 1.0\n',
    'pyproject.toml':
      '[build-system]\nrequires = ["delta"]\nbuild-backend = "curious_backend"\nbackend-path = ["."]\n',
    'curious_backend.py': backend,
  };
  const content = writeTarGz(
    Object.entries(files).map(([path, text]) => ({
      path: `curious-1.0/${path}`,
      content: Buffer.from(text),
    })),
  );
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { filename: 'curious-1.0.tar.gz', content, sha256 };
}

async function outsider(): Promise<number> {
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('the sandbox of builds', () => {
  it('shows strangers no secrets and no network but the mirror, and keeps their wheel to this distribution', async () => {
    const port = await outsider();
    const stage = await mirrorStage({ ...smallIndex(), curious: [curiousSdist(port)] });
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [curious], output: web/a }`);
    const args = [RUN_MIRROR, '-c', mirrors, '--index-url', stage.upstream.indexUrl];
    const result = await runCommand(process.execPath, [...args, '--json', ...BUILD_FLAGS], {
      env: { ...stage.env, SECRET_TOKEN: 's3cret', HTTPS_PROXY: 'http://127.0.0.1:9' },
      cwd: stage.folder,
    });
    const report = JSON.parse(result.stdout) as {
      mirrors: {
        problems: string[];
        buildNetwork: string;
        branches: { reason: string | null }[];
      }[];
    };
    expect(report.mirrors[0]?.problems, wordsOf(result)).toEqual([]);
    expect(report.mirrors[0]?.branches[0]?.reason).toBe(null);
    const root = join(stage.folder, 'web/a');
    const distro = join(root, readdirSync(root).find((name) => /^[A-Z]\w*-/.test(name)) ?? '');
    const wheel = 'curious/curious-1.0-py3-none-linux_x86_64.whl';
    expect(existsSync(join(distro, wheel))).toBe(true);
    expect(existsSync(join(root, wheel))).toBe(false);
    expect(existsSync(join(root, 'curious/curious-1.0.tar.gz'))).toBe(true);
    // What the build needed is there for whoever builds again.
    expect(existsSync(join(root, 'delta/delta-4.0-py3-none-any.whl'))).toBe(true);
    const python =
      'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read("curious.json").decode())';
    const { stdout } = await runCommand('python3', ['-c', python, join(distro, wheel)]);
    const seen = JSON.parse(stdout) as {
      uid: number;
      home: string;
      names: string[];
      outside: boolean;
      mirror: number;
    };
    expect(seen.mirror).toBe(200);
    expect(seen.names).not.toContain('SECRET_TOKEN');
    expect(seen.names).not.toContain('HTTPS_PROXY');
    expect(existsSync(seen.home)).toBe(false);
    if (process.getuid?.() === 0) expect(seen.uid).not.toBe(0);
    // Some systems give no namespaces; then the report must say so.
    expect(seen.outside).toBe(report.mirrors[0]?.buildNetwork === 'shared');
  });

  it('ends a build that does not end, and mirrors its sdist all the same', async () => {
    const stage = await mirrorStage({
      ...smallIndex(),
      curious: [curiousSdist(9, 'import time; time.sleep(600)')],
    });
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [curious], output: web/a }`);
    const result = await stage.run(mirrors, '--build-timeout', '5s', ...BUILD_FLAGS);
    expect(result.code).toBe(0);
    expect(result.stderr).toContain('has no wheel and is mirrored as sdist only');
    expect(result.stderr).toContain('was stopped after 5 s');
    expect(readFileSync(join(stage.folder, 'web/a/index.html'), 'utf8')).toContain('curious/');
  });
});

describe('wheels: build', () => {
  it('does not take a wheel for built that was fetched under the same name before', async () => {
    const stage = await mirrorStage();
    const mirror = (wheels: string): Promise<string> =>
      stage.writeMirrors(`
  - { name: a, packages: [epsilon], output: web/a, wheels: ${wheels} }`);
    const filename = 'epsilon-1.0-py3-none-any.whl';
    const wheel = join(stage.folder, 'download/wheelhouse/a', filename);
    const fetched = smallIndex()['epsilon']?.find((file) => file.filename === filename);
    await stage.run(await mirror('fetch'));
    expect(readFileSync(wheel).equals(fetched?.content ?? Buffer.alloc(0))).toBe(true);
    const build = await mirror('build');
    const result = await stage.run(build, '--json', ...BUILD_FLAGS);
    const builtBy = (text: string): string[] =>
      (JSON.parse(text) as { mirrors: { branches: { built: string[] }[] }[] }).mirrors.flatMap(
        ({ branches }) => branches.flatMap(({ built }) => built),
      );
    expect(builtBy(result.stdout), wordsOf(result)).toEqual([filename]);
    const built = readFileSync(wheel);
    expect(built.includes('self-backend')).toBe(true);
    const sha256 = createHash('sha256').update(built).digest('hex');
    const page = readFileSync(join(stage.folder, 'web/a/epsilon/index.json'), 'utf8');
    expect(page).toContain(sha256);
    // Nor is it built twice, or taken for fetched when wheels are fetched again.
    expect(builtBy((await stage.run(build, '--json', ...BUILD_FLAGS)).stdout)).toEqual([]);
    await stage.run(await mirror('fetch'));
    expect(readFileSync(wheel).equals(built)).toBe(true);
    expect(readFileSync(join(stage.folder, 'web/a/epsilon/index.json'), 'utf8')).toContain(sha256);
  });

  it('leaves a wheel alone that a person has dropped since', async () => {
    const stage = await mirrorStage();
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [epsilon], output: web/a, wheels: build }`);
    const wheel = join(stage.folder, 'download/wheelhouse/a/epsilon-1.0-py3-none-any.whl');
    const [, theirs] = smallIndex()['epsilon'] ?? [];
    mkdirSync(dirname(wheel), { recursive: true });
    writeFileSync(wheel, theirs?.content ?? '');
    const result = await stage.run(mirrors, '--strict', ...BUILD_FLAGS);
    expect(result.code, wordsOf(result)).toBe(0);
    expect(readFileSync(wheel).equals(theirs?.content ?? Buffer.alloc(0))).toBe(true);
    const page = readFileSync(join(stage.folder, 'web/a/epsilon/index.json'), 'utf8');
    expect(page).toContain(theirs?.sha256);
  });
});
