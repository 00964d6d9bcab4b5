import { statSync } from 'node:fs';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { Layout } from './layout.ts';

/** How a file came to be held. `added` and `adopted` files belong to people and are never evicted. */
export type Origin = 'fetched' | 'added' | 'adopted';

/** One file that is held. The row is the commit. */
export interface HeldFile {
  readonly upstream: string;
  /** Relative to `mirror/`, decoded: `packages/aa/bb/…/flask-3.0.0-py3-none-any.whl`. */
  readonly path: string;
  readonly project: ProjectName;
  readonly filename: string;
  readonly kind: 'distribution' | 'metadata';
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Modification time as published, whole milliseconds since the epoch. */
  readonly mtimeMs: number;
  /** The facts its index last listed; `null` for core metadata. */
  readonly entry: DistributionFile | null;
  /** Whether its index still lists it. */
  readonly listed: boolean;
  readonly origin: Origin;
}

/** A row of the table `files`. */
export interface FileRow {
  upstream: string;
  path: string;
  project: string;
  filename: string;
  kind: string;
  sha256: string;
  size_bytes: number;
  mtime_ms: number;
  entry: string | null;
  listed: number;
  origin: string;
}

/** The columns of {@link FileRow}, in the order in which they are inserted. */
export const FILE_COLUMNS: string =
  'upstream, path, project, filename, kind, sha256, size_bytes, mtime_ms, entry, listed, origin';

/** The file of a row. */
export function fromRow(row: FileRow): HeldFile {
  return {
    upstream: row.upstream,
    path: row.path,
    project: row.project as ProjectName,
    filename: row.filename,
    kind: row.kind as HeldFile['kind'],
    sha256: row.sha256,
    sizeBytes: row.size_bytes,
    mtimeMs: row.mtime_ms,
    entry: row.entry === null ? null : (JSON.parse(row.entry) as DistributionFile),
    listed: row.listed === 1,
    origin: row.origin as Origin,
  };
}

/** Whether the file on the disk still has the size and the time it was published with. */
export function isIntact(layout: Layout, file: HeldFile): boolean {
  try {
    const stat = statSync(layout.fileAt(file.path));
    return (
      stat.isFile() && stat.size === file.sizeBytes && Math.floor(stat.mtimeMs) === file.mtimeMs
    );
  } catch {
    return false;
  }
}
