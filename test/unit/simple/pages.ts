import type { ProjectName } from '../../../src/packaging/names.ts';
import type { DistributionFile, ProjectDetail } from '../../../src/simple/model.ts';
import type { PageContext } from '../../../src/simple/page-reading.ts';

/** Where the pages of these tests come from. */
export const FOO: PageContext = {
  project: 'foo' as ProjectName,
  pageUrl: 'https://index.test/simple/foo/',
};

/** A sha256 digest of 64 times the same digit. */
export const sha256 = (digit: string): string => digit.repeat(64);

/** A file of which nothing is known but its name, unless said otherwise. */
export function aFile(facts: Partial<DistributionFile> = {}): DistributionFile {
  const filename = facts.filename ?? 'foo-1.0.tar.gz';
  return {
    filename,
    url: `https://index.test/files/${encodeURIComponent(filename)}`,
    hashes: {},
    requiresPython: null,
    sizeBytes: null,
    uploadTime: null,
    coreMetadata: false,
    yanked: false,
    provenance: null,
    gpgSig: null,
    extra: {},
    ...facts,
  };
}

/** The page of project foo. */
export function aPage(facts: Partial<ProjectDetail> = {}): ProjectDetail {
  return {
    name: FOO.project,
    status: 'active',
    statusReason: null,
    versions: null,
    files: [],
    lastSerial: null,
    extra: {},
    ...facts,
  };
}
