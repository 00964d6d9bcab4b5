import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { ensureClients } from '../support/more-clients.ts';
import type { Client, ClientName } from '../support/more-clients.ts';
import { readReport } from './report.ts';

declare module 'vitest' {
  /** What the setup tells the tests. */
  export interface ProvidedContext {
    clients: Readonly<Record<ClientName, Client>>;
    /** The folder that tests add to with `reportOn`. */
    reportPath: string;
  }
}

/** Vitest calls this once before the clients' tests, and what it returns once after them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const reportPath = await mkdtemp(join(tmpdir(), 'wheelcellar-clients-report-'));
  const clients = await ensureClients();
  project.provide('clients', clients);
  project.provide('reportPath', reportPath);
  return async () => {
    const table = await readReport(reportPath);
    if (table !== '') process.stdout.write(`\n${table}\n`);
    for (const { name, version, missing } of Object.values(clients)) {
      if (missing !== null) process.stdout.write(`${name} ${version} was not tried: ${missing}\n`);
    }
    await rm(reportPath, { recursive: true, force: true });
  };
}
