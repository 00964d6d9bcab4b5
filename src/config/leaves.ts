/**
 * The kinds of value a key can have. Each has one message, which completes the sentence "… is X; give
 * …" and is the same whether the type or the content is wrong.
 */
import { z } from 'zod';
import {
  DURATION_FORMS,
  DURATION_PATTERN,
  parseDuration,
  parseSize,
  SIZE_FORMS,
  SIZE_PATTERN,
} from './quantities.ts';

/** Node's timers take no more than 2³¹−1 ms; a day is more than any answer deserves. */
const LONGEST_TIMEOUT_MS = 86_400_000;

const PATH_FORMS = 'a path: absolute, relative or beginning with ~/';

/** A size such as `20GB`; parsed to bytes. */
export function size(bounds: { readonly min?: number } = {}): z.ZodType<number, string> {
  const smallest = bounds.min ?? 0;
  return z
    .string({ error: SIZE_FORMS })
    .regex(SIZE_PATTERN, { error: SIZE_FORMS })
    .transform((text) => parseSize(text) ?? Number.NaN)
    .refine((bytes) => bytes >= smallest, {
      error: smallest > 0 ? `${SIZE_FORMS}, above zero` : SIZE_FORMS,
    });
}

/** A size above zero, parsed to bytes; or `off`, parsed to `null`. */
export function sizeOrOff(): z.ZodType<number | null, string> {
  const forms = `${SIZE_FORMS}; or off`;
  return z
    .string({ error: forms })
    .regex(new RegExp(`${SIZE_PATTERN.source}|^off$`), { error: forms })
    .transform((text) => (text === 'off' ? null : (parseSize(text) ?? Number.NaN)))
    .refine((bytes) => bytes === null || bytes > 0, { error: `${forms}, above zero` });
}

/** A duration such as `10m`; parsed to milliseconds. */
export function duration(bounds: { readonly min?: number } = {}): z.ZodType<number, string> {
  const shortest = bounds.min ?? 0;
  return z
    .string({ error: DURATION_FORMS })
    .regex(DURATION_PATTERN, { error: DURATION_FORMS })
    .transform((text) => parseDuration(text) ?? Number.NaN)
    .refine((ms) => ms >= shortest, {
      error: shortest > 0 ? `${DURATION_FORMS}, above zero` : DURATION_FORMS,
    });
}

/** A duration that a timer is set to: above zero and at most a day. */
export function timeout(): z.ZodType<number, string> {
  return duration({ min: 1 }).refine((ms) => ms <= LONGEST_TIMEOUT_MS, {
    error: `${DURATION_FORMS}, at most 1d`,
  });
}

/** A whole number within bounds, both included. */
export function whole(min: number, max: number): z.ZodType<number> {
  const error = `a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** `true` or `false`. */
export function flag(): z.ZodType<boolean> {
  return z.boolean({ error: 'true or false' });
}

/** A path, not yet resolved. */
export function path(): z.ZodType<string> {
  return z.string({ error: PATH_FORMS }).regex(/^(?!~[^/])[^\0]+$/, { error: PATH_FORMS });
}

/** One of a few words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(
  words: Words,
): z.ZodType<Words[number]> {
  return z.enum(words, { error: words.join(', ').replace(/, ([^,]*)$/, ' or $1') });
}

/** A list of such members. */
export function list<Member>(member: z.ZodType<Member>, forms: string): z.ZodType<Member[]> {
  return z.array(member, { error: forms });
}
