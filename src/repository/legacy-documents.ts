import { LRUCache } from 'lru-cache';
import { NotFoundError } from '../core/errors.ts';
import type { MetadataFacts } from '../packaging/core-metadata.ts';
import { parseFilename } from '../packaging/filenames.ts';
import type { ProjectName } from '../packaging/names.ts';
import { normalizeVersion } from '../packaging/versions.ts';
import { encodePathSegments } from '../simple/link.ts';
import type { DistributionFile, ProjectDetail } from '../simple/model.ts';
import { FILES_IN_STEP, finishInSlices } from '../simple/slices.ts';
import type { Steps } from '../simple/slices.ts';
import { describedVersion, legacyJsonPieces } from '../simple/write-legacy-json.ts';
import { gatherPage } from './page-bytes.ts';
import type { ReadyPage } from './rendered-pages.ts';
import { readCoreMetadata } from './read-core-metadata.ts';
import type { Repository, RequestContext, ServedProject } from './repository.ts';

/** Kept in memory for all documents together. */
const CACHE_BYTES = 16 * 1024 * 1024;

/**
 * The legacy JSON API (`/pypi/<name>/json`), made of what the index page and core metadata say, so that
 * it agrees with the index and works for local files and offline. pip-tools finds digests in it.
 */
export class LegacyDocuments {
  readonly #repository: Repository;
  readonly #cache = new LRUCache<string, Omit<ReadyPage, 'freshness'>>({
    maxSize: CACHE_BYTES,
    sizeCalculation: (page) => page.body.length + 200,
  });

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /**
   * The document of a project, or of one of its versions.
   *
   * @param rootUrl absolute URL of the mirror's root, with a slash at its end: pip-tools compares file
   *   URLs with those that pip made out of the index page
   * @throws NotFoundError when there is no such version; as Repository.projectDetail otherwise
   */
  async document(
    project: ProjectName,
    version: string | null,
    rootUrl: string,
    context: RequestContext,
  ): Promise<ReadyPage> {
    const snapshot = await this.#repository.projectDetail(project, context);
    const key = `${project} ${version ?? ''} ${rootUrl} ${snapshot.revision}`;
    const present = this.#cache.get(key);
    if (present !== undefined) return { ...present, freshness: snapshot.freshness };
    const served = await snapshot.load();
    const written = await gatherPage(
      legacyJsonPieces(served.detail, {
        linkTo: (file) => rootUrl + encodePathSegments(served.pathOf(file)),
        metadata: await this.#metadata(served, version, context),
        ...(version === null ? {} : { version }),
      }),
    );
    if (written.body.length === 0) {
      throw new NotFoundError(
        version === null ? `${project} has no files.` : `${project} has no version ${version}.`,
      );
    }
    const page = {
      ...written,
      coding: 'identity',
      lastSerial: served.detail.lastSerial,
    } as const;
    this.#cache.set(key, page);
    return { ...page, freshness: snapshot.freshness };
  }

  /** Core metadata of one wheel of the version, where it is advertised and can be had. */
  async #metadata(
    { detail, pathOf }: ServedProject,
    version: string | null,
    context: RequestContext,
  ): Promise<MetadataFacts | undefined> {
    const wanted =
      version === null ? await describedVersion(detail) : (normalizeVersion(version) ?? version);
    const wheel = await finishInSlices(wheelSteps(detail, wanted));
    if (wheel === undefined) return undefined;
    try {
      return (await readCoreMetadata(this.#repository, pathOf(wheel), context)).facts;
    } catch {
      // The document is worth having without it.
      return undefined;
    }
  }
}

/** A file of the version whose core metadata is advertised. */
function* wheelSteps(
  detail: ProjectDetail,
  version: string | undefined,
): Steps<DistributionFile | undefined> {
  for (const [index, file] of detail.files.entries()) {
    if (index > 0 && index % FILES_IN_STEP === 0) yield;
    if (file.coreMetadata === false) continue;
    const parsed = parseFilename(file.filename, detail.name);
    if (parsed === undefined) continue;
    if ((normalizeVersion(parsed.version) ?? parsed.version) === version) return file;
  }
  return undefined;
}
