import { describe, expect, it } from 'vitest';
import { launchdPlist } from '../../../src/service/launchd-plist.ts';
import { systemdUnit } from '../../../src/service/systemd-unit.ts';

const plain = {
  nodePath: '/usr/bin/node',
  binPath: '/opt/wheelcellar/bin/wheelcellar.js',
  configPath: null,
  cacheDir: null,
};

describe('systemdUnit', () => {
  it('runs the server with nothing that was not asked for', () => {
    expect(systemdUnit(plain)).toContain(
      '\nExecStart="/usr/bin/node" "/opt/wheelcellar/bin/wheelcellar.js" "serve"\n',
    );
  });

  it('names the configuration file and the cache folder when they are given', () => {
    const unit = systemdUnit({ ...plain, configPath: '/etc/w.yaml', cacheDir: '/srv/pypi' });
    expect(unit).toContain('"serve" "-c" "/etc/w.yaml" "--cache-dir" "/srv/pypi"\n');
  });

  it('keeps spaces, quotes, per cent and dollar signs of a path as they are', () => {
    const unit = systemdUnit({ ...plain, cacheDir: '/home/a b/50%/$HOME/"q"\\' });
    expect(unit).toContain('"--cache-dir" "/home/a b/50%%/$$HOME/\\"q\\"\\\\"\n');
  });

  it('refuses a path with a line break', () => {
    expect(() => systemdUnit({ ...plain, cacheDir: '/a\nExecStart=/bin/false' })).toThrow(
      RangeError,
    );
  });

  it('restarts after a failure, but not for a wrong configuration', () => {
    expect(systemdUnit(plain)).toContain('Restart=on-failure\n');
    expect(systemdUnit(plain)).toContain('RestartPreventExitStatus=2\n');
  });
});

describe('launchdPlist', () => {
  it('lists the command line word by word and escapes it', () => {
    const plist = launchdPlist({ ...plain, cacheDir: '/Users/a & b/<x>' }, '/Users/a/w.log');
    expect(plist).toContain(
      [
        '  <array>',
        '    <string>/usr/bin/node</string>',
        '    <string>/opt/wheelcellar/bin/wheelcellar.js</string>',
        '    <string>serve</string>',
        '    <string>--cache-dir</string>',
        '    <string>/Users/a &amp; b/&lt;x&gt;</string>',
        '  </array>',
      ].join('\n'),
    );
    expect(plist).toContain('<key>StandardErrorPath</key>\n  <string>/Users/a/w.log</string>');
  });
});
