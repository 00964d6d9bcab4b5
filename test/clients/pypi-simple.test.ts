import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { sha256Of } from '../support/fake-upstream.ts';
import { describeClient, runClient, setStage } from './stage.ts';
import type { Stage } from './stage.ts';
import { report } from './suite.ts';
import type { Client } from '../support/more-clients.ts';

/** Reads the page of each project given, downloads its first file, and prints what it saw. */
const SCRIPT = `import hashlib, json, sys
from pypi_simple import PyPISimple

seen = {}
with PyPISimple(endpoint=sys.argv[1]) as client:
    for name in sys.argv[2:]:
        page = client.get_project_page(name)
        first = page.packages[0]
        client.download_package(first, "download", verify=True)
        metadata = None
        if first.has_metadata:
            metadata = client.get_package_metadata(first, verify=True)
        with open("download", "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        seen[name] = {
            "filenames": [package.filename for package in page.packages],
            "yanked": [package.filename for package in page.packages if package.is_yanked],
            "sha256": digest,
            "metadata": metadata,
            "size": first.size,
            "version": page.repository_version,
        }
print(json.dumps(seen))
`;

type Seen = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

async function look(stage: Stage, client: Client, ...names: readonly string[]): Promise<Seen> {
  const folder = await stage.freshFolder();
  await writeFile(join(folder, 'look.py'), SCRIPT);
  const args = ['look.py', stage.recorder.indexUrl, ...names];
  const run = await runClient(client, 'python', args, folder);
  expect(run.code, run.words).toBe(0);
  return JSON.parse(run.words.split('\n').find((line) => line.startsWith('{')) ?? '{}') as Seen;
}

async function rootNames(indexUrl: string): Promise<string[]> {
  const headers = { accept: 'application/vnd.pypi.simple.v1+json' };
  const answer = await fetch(indexUrl, { headers });
  const { projects } = (await answer.json()) as { readonly projects: { readonly name: string }[] };
  return projects.map(({ name }) => name);
}

describeClient('pypi-simple', (client) => {
  it('reads pages, files and metadata, with their digests checked, and again offline', async () => {
    const stage = await setStage();
    const { recorder, upstream, projects } = stage;
    const names = ['alpha', 'beta', 'yanky', 'cpuish', 'delta-pkg-x'];
    const online = await look(stage, client, ...names);
    for (const name of names) {
      const files = projects[name]!;
      expect(online[name], name).toMatchObject({
        filenames: files.map(({ filename }) => filename),
        sha256: sha256Of(files[0]!.content),
        size: files[0]!.content.length,
        metadata: files[0]!.metadata,
        version: '1.4',
      });
    }
    expect(online['yanky']).toMatchObject({ yanked: ['yanky-1.1-py3-none-any.whl'] });
    // What was stored is listed within a second.
    await expect
      .poll(() => rootNames(recorder.indexUrl), { timeout: 5_000 })
      .toEqual(names.toSorted());
    const first = `${recorder.exchanges.filter(({ path }) => path !== '/simple/').length}`;

    recorder.forget();
    upstream.forget();
    expect(await look(stage, client, ...names)).toEqual(online);
    expect(upstream.requests).toEqual([]);
    await report(client, {
      install: 'downloads',
      hashed: 'verify=True',
      metadata: 'PEP 658',
      ranges: 'does not need any',
      first,
      second: `${recorder.exchanges.length}`,
    });

    await stage.restart('--offline');
    upstream.forget();
    const offline = await look(stage, client, ...names);
    for (const name of names) {
      const { sha256, metadata } = online[name]!;
      expect(offline[name], name).toMatchObject({ sha256, metadata });
    }
    expect(upstream.connections).toBe(0);
  });
});
