import type { RandomAccess } from './random-access.ts';
import { readZipContent } from './zip-content.ts';
import { withZip } from './zip-directory.ts';

/** More than the largest program in a wheel that is wanted so far; it is inflated in memory. */
const MOST_BYTES = 512 * 1024 * 1024;

/**
 * The program that a wheel installs as a script (`<name>-<version>.data/scripts/<script>`, PEP 427), or
 * `undefined` when it has none of that name.
 *
 * @throws IntegrityError when the archive is damaged
 */
export async function readWheelScript(
  access: RandomAccess,
  script: string,
): Promise<Uint8Array | undefined> {
  const wanted = `.data/scripts/${script}`;
  const limits = { wanted, maxDirectoryBytes: 64 * 1024 * 1024, maxEntries: 100_000 };
  return await withZip(access, limits, async (zip) => {
    const entry = zip.entries.find(({ name }) => name.endsWith(wanted));
    if (entry === undefined) return undefined;
    return await readZipContent(zip, entry, { maxBytes: MOST_BYTES, maxRatio: 1_000 });
  });
}
