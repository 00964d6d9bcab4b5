import { describe, expect, it } from 'vitest';
import { launchdPlist } from '../../../src/service/launchd-plist.ts';
import { systemdUnit } from '../../../src/service/systemd-unit.ts';

const plain = {
  nodePath: '/usr/bin/node',
  binPath: '/opt/wheelcellar/bin/wheelcellar.js',
  flags: [],
};

describe('systemdUnit', () => {
  it('runs the server with nothing that was not asked for', () => {
    expect(systemdUnit(plain)).toContain(
      '\nExecStart="/usr/bin/node" "/opt/wheelcellar/bin/wheelcellar.js" "serve"\n',
    );
  });

  it('hands on the flags', () => {
    const unit = systemdUnit({ ...plain, flags: ['-c', '/etc/w.yaml', '--offline'] });
    expect(unit).toContain('"serve" "-c" "/etc/w.yaml" "--offline"\n');
  });

  it('keeps spaces, quotes, per cent and dollar signs of a path as they are', () => {
    const unit = systemdUnit({ ...plain, flags: ['--cache-dir', '/home/a b/50%/$HOME/"q"\\'] });
    expect(unit).toContain('"--cache-dir" "/home/a b/50%%/$$HOME/\\"q\\"\\\\"\n');
  });

  it('refuses a path with a line break', () => {
    expect(() => systemdUnit({ ...plain, flags: ['/a\nExecStart=/bin/false'] })).toThrow(
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
    const plist = launchdPlist(
      { ...plain, flags: ['--cache-dir', '/Users/a & b/<x>'] },
      '/Users/a/w.log',
    );
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
