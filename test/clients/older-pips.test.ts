import { describeOlderPip } from './older-pip-suite.ts';

describeOlderPip('pip-22.1', { sdist: 'source==0.3', keeps: { pages: true, files: true } });
describeOlderPip('pip-21.3', { sdist: 'source==0.3', keeps: { pages: true, files: true } });
