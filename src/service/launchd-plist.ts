import { OWN_MARK, commandLine } from './service-definition.ts';
import type { ServiceDefinition } from './service-definition.ts';

/** The agent's label, and the name of its file without `.plist`. */
export const AGENT_LABEL = 'wheelcellar';

/** `022`: the cache folder is a mirror that other users may read. */
const UMASK = 0o022;
const OPEN_FILES = 65_536;

/**
 * A LaunchAgent: runs while the user is logged in, and again after a failure (launchd.plist(5)).
 *
 * @param logPath where the server's log goes; launchd has no journal
 */
export function launchdPlist(service: ServiceDefinition, logPath: string): string {
  const words = commandLine(service).map((word) => `    <string>${escaped(word)}</string>\n`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- ${OWN_MARK}; "wheelcellar service uninstall" removes it. -->
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${AGENT_LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${words.join('')}  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>Umask</key>
  <integer>${UMASK}</integer>
  <key>SoftResourceLimits</key>
  <dict>
    <key>NumberOfFiles</key>
    <integer>${OPEN_FILES}</integer>
  </dict>
  <key>StandardOutPath</key>
  <string>${escaped(logPath)}</string>
  <key>StandardErrorPath</key>
  <string>${escaped(logPath)}</string>
</dict>
</plist>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
