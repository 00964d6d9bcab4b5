import { expect, it } from 'vitest';
import { pipInstall, uvPipInstall } from './installers.ts';
import { clientProjects } from './projects.ts';
import type { Projects } from './projects.ts';
import { describeClient, setStage } from './stage.ts';
import { expectInstalled, runOn } from './suite.ts';
import type { ClientName } from '../support/more-clients.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import type { FakeFile, Fault } from '../support/fake-upstream.ts';
import type { Installer } from './suite.ts';

/** An upstream whose wheels are all right, but not what it says about their metadata. */
function withMetadataThat(spoil: (metadata: string) => Partial<FakeFile>): Projects {
  return Object.fromEntries(
    Object.entries(clientProjects()).map(([name, files]) => [
      name,
      files.map((file) =>
        file.metadata === undefined ? file : { ...file, ...spoil(file.metadata) },
      ),
    ]),
  );
}

// For both, advertised metadata that is missing or different is the end.
const STRICT: readonly (readonly [ClientName, Installer])[] = [
  ['pip', pipInstall()],
  ['uv', uvPipInstall()],
];

for (const [name, install] of STRICT) {
  describeClient(name, (client) => {
    it.each([
      ['advertises metadata that it does not have', () => ({ metadataMissing: true })],
      [
        'has other metadata than it advertises',
        (metadata: string) => ({
          metadata: 'Metadata-Version: 2.1\nName: other\n',
          listedMetadataSha256: sha256Of(metadata),
        }),
      ],
    ])('installs from an upstream that %s', async (_words, spoil) => {
      const stage = await setStage({ projects: withMetadataThat(spoil) });
      for (const flags of [[], ['--offline']]) {
        if (flags.length > 0) await stage.restart(...flags);
        const run = await runOn(stage, client, install, { requirements: ['alpha'] });
        expectInstalled(run, ['alpha==1.0', 'beta==1.0']);
      }
    });
  });
}

// These never ask twice: what goes wrong upstream once must not reach them.
const IMPATIENT: readonly (readonly [ClientName, Installer])[] = [
  ['pip-19.3', pipInstall('--retries', '0')],
  ['pip', pipInstall('--retries', '0')],
];

const TROUBLES: readonly (readonly [string, RegExp, Fault])[] = [
  ['its pages fail once', /^\/simple\//, { status: 503, times: 1 }],
  ['a file fails once', /beta-1\.0-py3-none-any\.whl$/, { status: 500, times: 1 }],
  ['a file is cut in the middle', /beta-1\.0-py3-none-any\.whl$/, { cutAfter: 900_000, times: 1 }],
];

for (const [name, install] of IMPATIENT) {
  describeClient(name, (client) => {
    it.each(TROUBLES)('notices nothing when %s', async (_words, where, fault) => {
      const stage = await setStage();
      stage.upstream.fault(where, fault);
      const run = await runOn(stage, client, install, { requirements: ['alpha'] });
      expectInstalled(run, ['alpha==1.0', 'beta==1.0']);
      const unwelcome = stage.recorder.exchanges.filter(({ status }) => status !== 200);
      expect(unwelcome.map(({ path, status }) => `${path} ${status}`)).toEqual([]);
    });
  });
}
