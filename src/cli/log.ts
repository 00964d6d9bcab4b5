import type { Config } from '../config/config.ts';
import { createLogger } from '../core/logger.ts';
import type { Logger } from '../core/logger.ts';
import type { Io } from './verb.ts';

/** The log on standard error, as the settings want it. */
export function logOf(config: Config, io: Io): Logger {
  const format = config.log.format === 'auto' ? (io.isTty ? 'text' : 'json') : config.log.format;
  const colour = io.isTty && (io.env['NO_COLOR'] ?? '') === '';
  return createLogger({ level: config.log.level, format, colour, destination: io.stderr });
}
