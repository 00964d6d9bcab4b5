/** Raises the revision of the root page; the first one is the time, as in `Revisions.raise`. */
const RAISE_ROOT = `  INSERT INTO projects SELECT '', at, 0, at FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS at)
  WHERE true
  ON CONFLICT (project) DO UPDATE SET revision = revision + 1, changed_at = excluded.changed_at;`;

/**
 * The catalog's tables. It is derived: it can be made again from the upstream pages and the files.
 * A row of `files` is the commit: what has no row is not held, whatever lies on the disk.
 */
export const CATALOG_SCHEMA: string = `
CREATE TABLE IF NOT EXISTS files (
  upstream     TEXT NOT NULL,
  path         TEXT NOT NULL,             -- relative to mirror/, decoded
  project      TEXT NOT NULL,
  filename     TEXT NOT NULL,
  kind         TEXT NOT NULL,             -- distribution | metadata
  sha256       TEXT NOT NULL,
  size_bytes   INTEGER NOT NULL,
  mtime_ms     INTEGER NOT NULL,          -- as published; another value means somebody changed the file
  entry        TEXT,                      -- the distribution file's facts as last listed, JSON
  listed       INTEGER NOT NULL DEFAULT 1,-- 0: the upstream's page no longer names it
  origin       TEXT NOT NULL,             -- fetched | added | adopted
  pinned       INTEGER NOT NULL DEFAULT 0,
  stored_at    INTEGER NOT NULL,
  used_at      INTEGER NOT NULL,
  hits         INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (upstream, path)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_project ON files (project);
CREATE INDEX IF NOT EXISTS files_by_use ON files (used_at) WHERE origin = 'fetched' AND pinned = 0;
CREATE INDEX IF NOT EXISTS files_pinned ON files (upstream, path) WHERE pinned = 1;
DROP INDEX IF EXISTS files_held;

-- Who is held, and how much: sums of files, kept by triggers. It is asked at every start, after every stored
-- file and for every root page, and a scan of 100,000 files takes 30 ms.
CREATE TABLE IF NOT EXISTS held (
  project    TEXT PRIMARY KEY,
  rows       INTEGER NOT NULL,            -- of both kinds
  bytes      INTEGER NOT NULL,            -- of both kinds
  files      INTEGER NOT NULL,            -- distribution files
  file_bytes INTEGER NOT NULL,
  listed     INTEGER NOT NULL             -- distribution files that a page names
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS held_more AFTER INSERT ON files BEGIN
  INSERT INTO held VALUES (new.project, 1, new.size_bytes, new.kind = 'distribution',
    new.size_bytes * (new.kind = 'distribution'), new.kind = 'distribution' AND new.listed)
  ON CONFLICT (project) DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes,
    files = files + excluded.files, file_bytes = file_bytes + excluded.file_bytes,
    listed = listed + excluded.listed;
END;
CREATE TRIGGER IF NOT EXISTS held_less AFTER DELETE ON files BEGIN
  UPDATE held SET rows = rows - 1, bytes = bytes - old.size_bytes,
    files = files - (old.kind = 'distribution'),
    file_bytes = file_bytes - old.size_bytes * (old.kind = 'distribution'),
    listed = listed - (old.kind = 'distribution' AND old.listed)
  WHERE project = old.project;
  DELETE FROM held WHERE project = old.project AND rows = 0;
END;
CREATE TRIGGER IF NOT EXISTS held_otherwise AFTER UPDATE OF size_bytes, listed ON files
WHEN new.size_bytes <> old.size_bytes OR new.listed <> old.listed BEGIN
  UPDATE held SET bytes = bytes + new.size_bytes - old.size_bytes,
    file_bytes = file_bytes + (new.size_bytes - old.size_bytes) * (new.kind = 'distribution'),
    listed = listed + (new.listed - old.listed) * (new.kind = 'distribution')
  WHERE project = new.project;
END;

-- Files out of the catalog whose bytes stay for the grace time, for readers of an older page.
CREATE TABLE IF NOT EXISTS departed (
  upstream     TEXT NOT NULL,
  path         TEXT NOT NULL,
  row          TEXT NOT NULL,             -- the row of files, JSON, so that it can come back
  delete_after INTEGER NOT NULL,
  PRIMARY KEY (upstream, path)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS pages (
  upstream      TEXT NOT NULL,
  project       TEXT NOT NULL,
  index_url     TEXT NOT NULL,            -- another URL makes the row worthless
  absent        INTEGER NOT NULL,         -- 1: the upstream said definitely that it has no such project
  etag          TEXT,
  last_modified TEXT,
  body_digest   TEXT NOT NULL,
  last_serial   INTEGER,
  size_bytes    INTEGER NOT NULL,
  fetched_at    INTEGER NOT NULL,         -- when these bytes came
  checked_at    INTEGER NOT NULL,         -- when the upstream last confirmed them
  max_age_ms    INTEGER,
  missing_since INTEGER,                  -- since when the upstream answers 404 for a page we have
  PRIMARY KEY (upstream, project)
) WITHOUT ROWID;

-- revision counts what a static page depends on; static_revision is the one on disk.
CREATE TABLE IF NOT EXISTS projects (
  project         TEXT PRIMARY KEY,
  revision        INTEGER NOT NULL,
  static_revision INTEGER NOT NULL,
  changed_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS projects_to_write ON projects (project) WHERE revision <> static_revision;

-- The root page is the page of no name. It shows who is held and listed, and is behind when that has changed.
CREATE TRIGGER IF NOT EXISTS root_more AFTER INSERT ON held WHEN new.listed > 0 BEGIN
${RAISE_ROOT}
END;
CREATE TRIGGER IF NOT EXISTS root_otherwise AFTER UPDATE OF listed ON held
WHEN (new.listed > 0) <> (old.listed > 0) BEGIN
${RAISE_ROOT}
END;

-- A catalog that was made before there were these sums. In this order, or all files are read at every start.
INSERT INTO held
  SELECT project, COUNT(*), SUM(size_bytes), SUM(kind = 'distribution'),
    SUM(size_bytes * (kind = 'distribution')), SUM(kind = 'distribution' AND listed)
  FROM (SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM held)) CROSS JOIN files GROUP BY project;

-- What other processes must look at again.
CREATE TABLE IF NOT EXISTS changes (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL,
  at      INTEGER NOT NULL
);

-- What installers were seen to need; see DependencyTable.
CREATE TABLE IF NOT EXISTS dependencies (
  project    TEXT PRIMARY KEY,
  upstream   TEXT NOT NULL,
  version    TEXT NOT NULL,
  requires   TEXT NOT NULL,               -- Requires-Dist, JSON
  learned_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dependencies_by_age ON dependencies (learned_at);

CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
`;

/** Raised when a table changes shape; an older catalog is made again from pages and files. */
export const CATALOG_VERSION = 1;
