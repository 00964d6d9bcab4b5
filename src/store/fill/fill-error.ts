import {
  IntegrityError,
  InvalidUpstreamAnswerError,
  NotFoundError,
  NotHeldOfflineError,
  StorageError,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
  messageOf,
} from '../../core/errors.ts';

/** Which class of error ended a fill, so that followers in other processes can throw the same. */
export interface FillError {
  readonly kind:
    | 'integrity'
    | 'not-found'
    | 'unavailable'
    | 'unreachable'
    | 'invalid'
    | 'storage'
    | 'offline';
  readonly message: string;
}

/** What followers in other processes need to throw the same class. */
export function describeError(thrown: unknown): FillError {
  const message = messageOf(thrown);
  if (thrown instanceof IntegrityError) return { kind: 'integrity', message };
  if (thrown instanceof NotFoundError) return { kind: 'not-found', message };
  if (thrown instanceof NotHeldOfflineError) return { kind: 'offline', message };
  if (thrown instanceof UpstreamUnreachableError) return { kind: 'unreachable', message };
  if (thrown instanceof UpstreamUnavailableError) return { kind: 'unavailable', message };
  if (thrown instanceof StorageError) return { kind: 'storage', message };
  return { kind: 'invalid', message };
}

/** The error that an owner in another process noted. */
export function errorFrom(noted: FillError | null): Error {
  const message = noted?.message ?? 'The process that fetched the file gave up.';
  switch (noted?.kind) {
    case 'integrity':
      return new IntegrityError(message);
    case 'not-found':
      return new NotFoundError(message);
    case 'offline':
      return new NotHeldOfflineError(message);
    case 'unreachable':
      return new UpstreamUnreachableError(message);
    case 'storage':
      return new StorageError(message);
    case 'invalid':
      return new InvalidUpstreamAnswerError(message);
    default:
      return new UpstreamUnavailableError(message);
  }
}
