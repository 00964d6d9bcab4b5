import { ensurePythonClients } from './python-clients.ts';

/** Vitest calls this once before the end-to-end tests. */
export async function setup(): Promise<void> {
  await ensurePythonClients();
}
