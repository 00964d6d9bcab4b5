import { createCipheriv, createHash } from 'node:crypto';
import { writeTarGz } from './tar-writer.ts';
import { writeZip } from './zip-writer.ts';
import type { ArchiveMember } from './zip-writer.ts';

/** What a distribution says and holds; everything but name and version has a default. */
export interface DistributionOptions {
  /** As its author writes it, such as `Chain.Link_01`. */
  readonly name: string;
  readonly version: string;
  /** `Requires-Dist` values. */
  readonly requires?: readonly string[];
  /** `Requires-Python`. */
  readonly requiresPython?: string;
  /** Extra name → its requirements. */
  readonly extras?: Readonly<Record<string, readonly string[]>>;
  /** Bytes of incompressible data to carry along, to make a file as big as a test needs. */
  readonly paddingBytes?: number;
}

/** What only a wheel has. */
export interface WheelOptions extends DistributionOptions {
  /** Compatibility tag, `py3-none-any` by default. */
  readonly tag?: string;
  /** Build tag, such as `1`. */
  readonly build?: string;
  /** Deflate the members; stored by default, which makes the same bytes on every machine. */
  readonly isCompressed?: boolean;
}

/** What only an sdist has. */
export interface SdistOptions extends DistributionOptions {
  /** `build-system.requires`; none by default. */
  readonly buildRequires?: readonly string[];
}

/** A distribution file made by code. */
export interface WrittenFile {
  readonly filename: string;
  readonly content: Buffer;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly requiresPython?: string;
  /** Of wheels: what an index lists beside them, as the official one does for wheels only (PEP 658). */
  readonly metadata?: string;
}

/** A wheel made by code. */
export interface WrittenWheel extends WrittenFile {
  /** The core metadata, byte for byte what the archive holds. */
  readonly metadata: string;
}

/** The form of a name inside filenames and module names (PEP 427, "Escaping and Unicode"). */
function escapedName(name: string): string {
  return name.replace(/[-_.]+/g, '_').toLowerCase();
}

/**
 * A valid wheel (PEP 427): one module `<name>` with `__version__`, METADATA, WHEEL and RECORD. Equal
 * options give equal bytes.
 */
export function writeWheel(options: WheelOptions): WrittenWheel {
  const tag = options.tag ?? 'py3-none-any';
  const stem = `${escapedName(options.name)}-${options.version}`;
  const metadata = coreMetadata(options);
  const info = `${stem}.dist-info`;
  const members = [
    ...modules(options),
    member(`${info}/METADATA`, metadata),
    member(`${info}/WHEEL`, wheelFile(tag, options.build)),
  ];
  const record = member(`${info}/RECORD`, recordOf(members, `${info}/RECORD`));
  const build = options.build === undefined ? '' : `-${options.build}`;
  const content = writeZip([...members, record], options.isCompressed);
  return { ...written(`${stem}${build}-${tag}.whl`, content, options), metadata };
}

/**
 * A valid sdist (PEP 625, PEP 643) whose build backend lies in its own tree (`backend-path`) and needs
 * nothing else, so that any installer builds it without a network.
 */
export function writeSdist(options: SdistOptions): WrittenFile {
  const stem = `${escapedName(options.name)}-${options.version}`;
  const members = [
    member('PKG-INFO', coreMetadata(options)),
    member('pyproject.toml', PYPROJECT.replace('[]', JSON.stringify(options.buildRequires ?? []))),
    member('backend/self_backend.py', BACKEND),
    ...modules(options).map(({ path, content }) => ({ path: `src/${path}`, content })),
  ].map(({ path, content }) => ({ path: `${stem}/${path}`, content }));
  return written(`${stem}.tar.gz`, writeTarGz(members), options);
}

function written(filename: string, content: Buffer, options: DistributionOptions): WrittenFile {
  const sha256 = createHash('sha256').update(content).digest('hex');
  const { requiresPython } = options;
  return { filename, content, sha256, ...(requiresPython === undefined ? {} : { requiresPython }) };
}

function coreMetadata(options: DistributionOptions): string {
  const extras = Object.entries(options.extras ?? {});
  return [
    'Metadata-Version: 2.2',
    `Name: ${options.name}`,
    `Version: ${options.version}`,
    'Summary: A tiny distribution made for a test',
    ...(options.requiresPython === undefined ? [] : [`Requires-Python: ${options.requiresPython}`]),
    ...(options.requires ?? []).map((requirement) => `Requires-Dist: ${requirement}`),
    ...extras.flatMap(([extra, requirements]) => [
      `Provides-Extra: ${extra}`,
      ...requirements.map((requirement) => `Requires-Dist: ${requirement}; extra == "${extra}"`),
    ]),
    '',
    '',
  ].join('\n');
}

function wheelFile(tag: string, build: string | undefined): string {
  return [
    'Wheel-Version: 1.0',
    'Generator: wheel-writer 1',
    'Root-Is-Purelib: true',
    ...expandTag(tag).map((single) => `Tag: ${single}`),
    ...(build === undefined ? [] : [`Build: ${build}`]),
    '',
  ].join('\n');
}

/** `py2.py3-none-any` stands for two tags (PEP 425, "Compressed Tag Sets"). */
function expandTag(tag: string): string[] {
  const [pythons = '', abis = '', platforms = ''] = tag.split('-');
  return pythons
    .split('.')
    .flatMap((python) =>
      abis
        .split('.')
        .flatMap((abi) => platforms.split('.').map((platform) => `${python}-${abi}-${platform}`)),
    );
}

function modules(options: DistributionOptions): ArchiveMember[] {
  const name = escapedName(options.name);
  const padding = options.paddingBytes ?? 0;
  return [
    member(`${name}/__init__.py`, `__version__ = ${JSON.stringify(options.version)}\n`),
    ...(padding === 0
      ? []
      : [
          {
            path: `${name}/padding.bin`,
            content: noise(`${options.name} ${options.version}`, padding),
          },
        ]),
  ];
}

/** `sizeBytes` bytes that look random and depend on `seed` alone. */
function noise(seed: string, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

function recordOf(members: readonly ArchiveMember[], recordPath: string): string {
  const lines = members.map(({ path, content }) => {
    const digest = createHash('sha256').update(content).digest('base64url');
    return `${path},sha256=${digest},${content.length}`;
  });
  return [...lines, `${recordPath},,`, ''].join('\n');
}

function member(path: string, text: string): ArchiveMember {
  return { path, content: Buffer.from(text, 'utf8') };
}

const PYPROJECT = `[build-system]
requires = []
build-backend = "self_backend"
backend-path = ["backend"]
`;

/** PEP 517 in the standard library alone. */
const BACKEND = `import base64, email, hashlib, os, re, zipfile


def _members():
    with open("PKG-INFO", encoding="utf-8") as file:
        text = file.read()
    about = email.message_from_string(text)
    name = re.sub(r"[-_.]+", "_", about["Name"]).lower()
    info = f"{name}-{about['Version']}.dist-info"
    wheel = "Wheel-Version: 1.0\\nGenerator: self-backend 1\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    found = []
    for folder, _, files in sorted(os.walk("src")):
        for file in sorted(files):
            path = os.path.join(folder, file)
            with open(path, "rb") as opened:
                found.append((os.path.relpath(path, "src").replace(os.sep, "/"), opened.read()))
    return info, found, [(f"{info}/METADATA", text.encode()), (f"{info}/WHEEL", wheel.encode())]


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info, _, about = _members()
    os.makedirs(os.path.join(metadata_directory, info), exist_ok=True)
    for path, content in about:
        with open(os.path.join(metadata_directory, path), "wb") as file:
            file.write(content)
    return info


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info, found, about = _members()
    filename = f"{info[: -len('.dist-info')]}-py3-none-any.whl"
    record = ""
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as wheel:
        for path, content in found + about:
            wheel.writestr(path, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            record += f"{path},sha256={digest},{len(content)}\\n"
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\\n")
    return filename
`;
