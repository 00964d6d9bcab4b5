/**
 * Environment markers (packaging.python.org, "Dependency specifiers"): read into a tree, then decided
 * for an environment, with the answers of PyPA's `packaging`.
 */
import type { MarkerEnvironment } from './environment.ts';
import { isValidSpecifier, isValidVersion, matchesSpecifier } from './versions.ts';

/** A marker that was read. */
export type Marker =
  | { readonly kind: 'and' | 'or'; readonly left: Marker; readonly right: Marker }
  | {
      readonly kind: 'compare';
      readonly left: Operand;
      readonly op: string;
      readonly right: Operand;
    };

/** A variable of the environment, or a text. */
export interface Operand {
  readonly kind: 'variable' | 'text';
  readonly value: string;
}

/** What a marker is decided for. */
export interface MarkerContext {
  readonly environment: MarkerEnvironment;
  /** The extra that is asked for, normalized (PEP 685); empty for none. */
  readonly extra: string;
  /** In lock files, which are decided for all that is asked for at once (PEP 751), in place of `extra`. */
  readonly lock?: {
    /** Normalized (PEP 685). */
    readonly extras: ReadonlySet<string>;
    /** Normalized as extras are (PEP 735). */
    readonly groups: ReadonlySet<string>;
  };
}

/** Longer markers are not read: they come from upstream. */
const LONGEST_MARKER = 10_000;
const DEEPEST = 100;

const VARIABLES: ReadonlySet<string> = new Set([
  'python_version',
  'python_full_version',
  'os_name',
  'sys_platform',
  'platform_release',
  'platform_system',
  'platform_version',
  'platform_machine',
  'platform_python_implementation',
  'implementation_name',
  'implementation_version',
  'extra',
  'extras',
  'dependency_groups',
]);
/** Spellings of before PEP 508. */
const OLD_SPELLINGS: Readonly<Record<string, string>> = {
  'os.name': 'os_name',
  'sys.platform': 'sys_platform',
  'platform.version': 'platform_version',
  'platform.machine': 'platform_machine',
  'platform.python_implementation': 'platform_python_implementation',
  python_implementation: 'platform_python_implementation',
};
const LOCK_VARIABLES: ReadonlySet<string> = new Set(['extra', 'extras', 'dependency_groups']);
/** Their values are compared as versions where the other side is one. */
const VERSION_VARIABLES: ReadonlySet<string> = new Set([
  'implementation_version',
  'platform_release',
  'python_full_version',
  'python_version',
]);

const TOKEN =
  /\s*(?:(?<text>'[^']*'|"[^"]*")|(?<op>===|==|~=|!=|<=|>=|<|>)|(?<bracket>[()])|(?<word>[A-Za-z_][A-Za-z0-9_.]*))/y;

interface Token {
  readonly kind: 'text' | 'op' | 'bracket' | 'word';
  readonly value: string;
}

/** The marker, or `undefined` when it cannot be read. */
export function parseMarker(source: string): Marker | undefined {
  if (source.length > LONGEST_MARKER) return undefined;
  const tokens = tokensOf(source);
  if (tokens === undefined) return undefined;
  const reader = new MarkerReader(tokens);
  const marker = reader.readOr(0);
  return reader.isAtEnd ? marker : undefined;
}

/**
 * Whether the marker holds. `undefined` where the standard leaves a comparison undefined and
 * `packaging` raises an error.
 */
export function evaluateMarker(marker: Marker, context: MarkerContext): boolean | undefined {
  if (marker.kind === 'compare') return compare(marker.left, marker.op, marker.right, context);
  const left = evaluateMarker(marker.left, context);
  const right = evaluateMarker(marker.right, context);
  if (left === undefined || right === undefined) return undefined;
  return marker.kind === 'and' ? left && right : left || right;
}

/**
 * Whether a requirement with this marker is to be installed along with any of these extras, or with
 * none. A marker that cannot be read or decided counts as holding: nothing is hidden for its sake.
 *
 * @param marker empty for none
 */
export function isWanted(
  marker: string,
  environment: MarkerEnvironment,
  extras: readonly string[],
): boolean {
  if (marker.trim() === '') return true;
  const parsed = parseMarker(marker);
  if (parsed === undefined) return true;
  const asked = extras.length === 0 ? [''] : extras.map(normalizeExtra);
  return asked.some((extra) => evaluateMarker(parsed, { environment, extra }) ?? true);
}

function tokensOf(source: string): readonly Token[] | undefined {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  for (let end = 0; source.slice(end).trim() !== ''; end = TOKEN.lastIndex) {
    TOKEN.lastIndex = end;
    const groups = TOKEN.exec(source)?.groups;
    const found = Object.entries(groups ?? {}).find(([, value]) => value !== undefined);
    if (found === undefined) return undefined;
    tokens.push({ kind: found[0] as Token['kind'], value: found[1] ?? '' });
  }
  return tokens;
}

class MarkerReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#tokens.length;
  }

  /** `and` binds closer than `or`. */
  readOr(depth: number): Marker | undefined {
    return this.#readChain('or', () => this.#readChain('and', () => this.#readAtom(depth)));
  }

  #readChain(word: 'and' | 'or', readOne: () => Marker | undefined): Marker | undefined {
    let left = readOne();
    while (left !== undefined && this.#take('word', word)) {
      const right = readOne();
      left = right && { kind: word, left, right };
    }
    return left;
  }

  #readAtom(depth: number): Marker | undefined {
    if (depth > DEEPEST) return undefined;
    if (this.#take('bracket', '(')) {
      const inner = this.readOr(depth + 1);
      return this.#take('bracket', ')') ? inner : undefined;
    }
    const left = this.#readOperand();
    const op = this.#readOperator();
    const right = this.#readOperand();
    if (left === undefined || op === undefined || right === undefined) return undefined;
    return { kind: 'compare', left, op, right };
  }

  #readOperand(): Operand | undefined {
    const token = this.#tokens[this.#at++];
    if (token?.kind === 'text') return { kind: 'text', value: token.value.slice(1, -1) };
    if (token?.kind !== 'word') return undefined;
    const value = OLD_SPELLINGS[token.value] ?? token.value;
    return VARIABLES.has(value) ? { kind: 'variable', value } : undefined;
  }

  #readOperator(): string | undefined {
    const token = this.#tokens[this.#at++];
    if (token?.kind === 'op' || (token?.kind === 'word' && token.value === 'in'))
      return token.value;
    return token?.value === 'not' && this.#take('word', 'in') ? 'not in' : undefined;
  }

  #take(kind: Token['kind'], value: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== kind || token.value !== value) return false;
    this.#at++;
    return true;
  }
}

function compare(
  left: Operand,
  op: string,
  right: Operand,
  context: MarkerContext,
): boolean | undefined {
  const variable = left.kind === 'variable' ? left : right;
  if (variable.kind === 'text') return undefined;
  if (context.lock !== undefined && LOCK_VARIABLES.has(variable.value))
    return compareSets(left, op, right, context.lock);
  const value = valueOf(variable.value, context);
  if (value === undefined) return undefined;
  const other = left.kind === 'variable' ? right : left;
  // `packaging` takes a variable on the right of another one for its name.
  const text = variable.value === 'extra' ? normalizeExtra(other.value) : other.value;
  const [leftText, rightText] = variable === left ? [value, text] : [text, value];
  if (VERSION_VARIABLES.has(variable.value)) {
    const asVersions = compareVersionTexts(leftText, op, rightText);
    if (asVersions !== undefined) return asVersions;
  }
  return compareTexts(leftText, op, rightText);
}

/** `'x' in extras`, and `extra == 'x'`, which tools write for the same thing (uv, poetry). */
function compareSets(
  left: Operand,
  op: string,
  right: Operand,
  lock: NonNullable<MarkerContext['lock']>,
): boolean | undefined {
  const [variable, text] = left.kind === 'variable' ? [left, right] : [right, left];
  if (text.kind !== 'text') return undefined;
  const isSet = variable.value !== 'extra';
  // A set stands on the right only; `extra` on either side.
  if (isSet && variable !== right) return undefined;
  const [is, isNot] = isSet ? ['in', 'not in'] : ['==', '!='];
  if (op !== is && op !== isNot) return undefined;
  const chosen = variable.value === 'dependency_groups' ? lock.groups : lock.extras;
  return chosen.has(normalizeExtra(text.value)) === (op === is);
}

/** `undefined` for the variables of lock files, which core metadata does not have. */
function valueOf(variable: string, { environment, extra }: MarkerContext): string | undefined {
  if (variable === 'extra') return extra;
  return (environment as unknown as Readonly<Record<string, string>>)[variable];
}

/** `undefined` when the right side is no version: then texts are compared. */
function compareVersionTexts(left: string, op: string, right: string): boolean | undefined {
  // `===` compares texts, whatever they are, as long as they are one word.
  if (op === '===' && /[\s;)]/.test(right.trim())) return undefined;
  if (op === '===') return left.toLowerCase() === right.trim().toLowerCase();
  const isSpecifier = /^(?:==|~=|!=|<=|>=|<|>)$/.test(op) && !right.includes(',');
  if (!isSpecifier || right.trim() === '' || !isValidSpecifier(`${op}${right}`)) return undefined;
  if (!isValidVersion(left)) return false;
  return matchesSpecifier(left, `${op}${right}`, { prereleases: true });
}

function compareTexts(left: string, op: string, right: string): boolean | undefined {
  switch (op) {
    case 'in':
      return right.includes(left);
    case 'not in':
      return !right.includes(left);
    // Texts have no order: only the "or equal" of these can hold.
    case '==':
    case '<=':
    case '>=':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
    case '>':
      return false;
    default:
      return undefined;
  }
}

function normalizeExtra(name: string): string {
  return name.replace(/[-_.]+/g, '-').toLowerCase();
}
