import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { toDocument } from '../../../src/config/config-document.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { configJsonSchema, configKeys } from '../../../src/config/schema.ts';
import { UPSTREAM_KEYS } from '../../../src/config/upstream-schema.ts';
import { fileInput, inputOf } from './config-input.ts';

const example = readFileSync(new URL('../../../config.example.yaml', import.meta.url), 'utf8');
/** With the keys that are commented out (`#key:`, no space) in place. */
const complete = example.replace(/^(\s*)#(?=[a-z_]+:)/gm, '$1');

describe('config.example.yaml', () => {
  it('holds exactly the defaults, as it is and with every key', () => {
    expect(loadConfig(fileInput(example))).toEqual(loadConfig(inputOf()));
    expect(loadConfig(fileInput(complete))).toEqual(loadConfig(inputOf()));
  });

  it('has every key, and each with its environment name', () => {
    const document = parse(complete) as Record<string, unknown>;
    const names = Object.entries(document).flatMap(([key, value]) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.keys(value).map((leaf) => `${key}.${leaf}`)
        : [key],
    );
    expect(names.toSorted()).toEqual(
      configKeys()
        .map(({ name }) => name)
        .toSorted(),
    );
    expect(Object.keys((document['upstreams'] as object[])[0]!)).toEqual(UPSTREAM_KEYS);
    for (const { name, environmentName } of configKeys()) {
      const leaf = name.slice(name.indexOf('.') + 1);
      expect(example, name).toMatch(
        new RegExp(`^ *# [^\n]* ${environmentName}\n(?: *# [^\n]*\n)*\\s*#?${leaf}:`, 'm'),
      );
    }
  });
});

describe('the document of some settings', () => {
  it('reads back to the same settings', () => {
    const config = loadConfig({
      ...fileInput('{unix: a.sock, cache: {max_age: 1h, max_size: 3MiB}, listen: ["[::1]:1"]}'),
      flags: { extraIndexes: ['a=http://a.example/'] },
    });
    expect(loadConfig(fileInput(JSON.stringify(toDocument(config))))).toEqual(config);
  });

  it('masks passwords, and a user name that stands alone', () => {
    const { upstreams } = toDocument(
      loadConfig(
        fileInput(
          'upstreams: [{name: a, url: "http://bo:s3@a/"}, {name: b, url: "http://s3:@b/"}]',
        ),
      ),
    );
    expect(upstreams).toMatchObject([
      { username: 'bo', password: '********' },
      { username: '********' },
    ]);
    expect(JSON.stringify(upstreams)).not.toContain('s3');
  });
});

describe('the JSON Schema', () => {
  it('describes every key and its default, and no other', () => {
    type Node = { properties: Record<string, Node>; description?: string; default?: unknown };
    const schema = configJsonSchema() as unknown as Node & { additionalProperties: boolean };
    expect(schema.additionalProperties).toBe(false);
    for (const { path, name } of configKeys()) {
      const node = path.reduce<Node>((parent, part) => parent.properties[part]!, schema);
      expect(node.description, name).toMatch(/\.$/);
      expect(node, name).toHaveProperty('default');
    }
  });
});
