import { vi } from 'vitest';

/**
 * Waits until `check` throws no more, as long as a busy machine may need. For what is promised within a
 * time there is `vi.waitFor` with that time.
 */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 10_000, interval: 20 });
}
