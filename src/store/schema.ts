/**
 * The catalog's tables. It is derived: it can be made again from the upstream pages and the files.
 * A row of `files` is the commit: what has no row is not held, whatever lies on the disk.
 */
export const CATALOG_SCHEMA = `
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
-- Who is held, and how much, without reading the entries: 20 ms for 100,000 files, on the way of every start.
CREATE INDEX IF NOT EXISTS files_held ON files (kind, project, listed, size_bytes);
CREATE INDEX IF NOT EXISTS files_by_use ON files (used_at) WHERE origin = 'fetched' AND pinned = 0;

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
