import type { Catalog } from './catalog.ts';
import { isProvablyDead, thisProcess } from './fill/process-identity.ts';
import type { ProcessIdentity } from './fill/process-identity.ts';

/** A server on this cache folder, as it announced itself. */
export interface RunningServer {
  readonly pid: number;
  /** `http://127.0.0.1:3141`. */
  readonly origin: string;
  /** Path prefix of all routes, without a slash at its end. */
  readonly base: string;
}

interface Announcement extends RunningServer {
  readonly process: ProcessIdentity;
}

const PREFIX = 'server:';

/** Lets verbs find this server. */
export async function announceServer(
  catalog: Catalog,
  origin: string,
  base: string,
): Promise<void> {
  for (const server of announcements(catalog)) {
    if (isProvablyDead(server.process)) await catalog.setNote(PREFIX + server.pid, null);
  }
  const announcement: Announcement = { pid: process.pid, origin, base, process: thisProcess() };
  await catalog.setNote(PREFIX + process.pid, JSON.stringify(announcement));
}

/** Takes the announcement of this process back. */
export async function withdrawServer(catalog: Catalog): Promise<void> {
  await catalog.setNote(PREFIX + process.pid, null);
}

/** Announced servers that are not known to be dead. */
export function runningServers(catalog: Catalog): RunningServer[] {
  return announcements(catalog)
    .filter((announcement) => !isProvablyDead(announcement.process))
    .map(({ pid, origin, base }) => ({ pid, origin, base }));
}

function announcements(catalog: Catalog): Announcement[] {
  return catalog.notes(PREFIX).map((text) => JSON.parse(text) as Announcement);
}
