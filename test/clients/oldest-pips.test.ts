import { it } from 'vitest';
import { pipInstall } from './installers.ts';
import { describeOlderPip } from './older-pip-suite.ts';
import { INSTALLED } from './projects.ts';
import { setStage } from './stage.ts';
import { expectInstalled, runOn } from './suite.ts';

/** They keep nothing, although the host is trusted and the answers say that they may. */
const keeps = { pages: false, files: false };

// A build backend within the sdist is not for pip before 20.0, nor is the yanked mark for pip before 19.2.
describeOlderPip('pip-19.3', { sdist: 'setup-py==0.4', keeps });

const pip9 = {
  sdist: 'setup-py==0.4',
  keeps,
  installed: INSTALLED.map((pin) => pin.replace('yanky==1.0', 'yanky==1.1')),
} as const;

describeOlderPip('pip-9.0', pip9, (client) => {
  it('installs nothing yanked where the mirror hides such files', async () => {
    const stage = await setStage({ env: { WHEELCELLAR_INDEX_HIDE_YANKED: 'always' } });
    expectInstalled(await runOn(stage, client, pipInstall()), INSTALLED);
  });
});
