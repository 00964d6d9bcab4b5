import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { Catalog } from '../catalog.ts';
import type { Layout } from '../layout.ts';
import type { FillRequest } from './byte-source.ts';
import type { TryFillLock } from './fill-lock.ts';

/** What fills need around them. */
export interface FillEnvironment {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tryLock: TryFillLock;
  /** Requests after a break without real progress before a fill gives up. */
  readonly retries: number;
  /** Bytes that storing must leave free on the disk. */
  readonly reserveBytes: number;
  /** Called when so many bytes were not stored because the reserve would have been touched. */
  onNoRoom?(bytes: number): void;
  /** Called after a file was committed. */
  onStored(request: FillRequest, sizeBytes: number): void;
}
