/** The library's public surface. */
export { elementsPath, packageFacts } from './paths.ts';
/** The same under one name: `paths.elementsPath()`. */
export * as paths from './paths.ts';
export type { PackageFacts } from './paths.ts';
export { loadConfig } from './config/load-config.ts';
export type {
  CacheConfig,
  Config,
  ConfigInput,
  HttpConfig,
  IndexConfig,
  LimitsConfig,
  ListenAddress,
  LogConfig,
  PartialFlags,
  UpstreamConfig,
  UpstreamLayout,
} from './config/config.ts';
export {
  BusyError,
  ConfigurationError,
  IntegrityError,
  InvalidUpstreamAnswerError,
  NotAcceptableError,
  NotFoundError,
  NotHeldOfflineError,
  RangeNotSatisfiableError,
  RefusedError,
  StorageError,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
  WheelcellarError,
} from './core/errors.ts';
export type { ErrorDetails } from './core/errors.ts';
