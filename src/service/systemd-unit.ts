import { OWN_MARK, commandLine } from './service-definition.ts';
import type { ServiceDefinition } from './service-definition.ts';

/** The unit's name, as `systemctl --user` takes it. */
export const UNIT_NAME = 'wheelcellar.service';

/**
 * A unit for a user's own service manager. It is hardened by what such a manager can do without mount
 * namespaces: those need unprivileged user namespaces, which several distributions forbid, and a unit
 * that asks for them then fails to start. `MemoryDenyWriteExecute` is out: V8 compiles at run time.
 *
 * @throws RangeError when a path holds a line break, which no unit can express
 */
export function systemdUnit(service: ServiceDefinition): string {
  return `# ${OWN_MARK}; "wheelcellar service uninstall" removes it.
# Settings of your own: systemctl --user edit ${UNIT_NAME}
[Unit]
Description=Wheelcellar, a local PyPI mirror

[Service]
Type=exec
ExecStart=${commandLine(service).map(quoted).join(' ')}
# Proxies, DIB_OFFLINE and the like, one NAME=value a line; the file may be missing.
EnvironmentFile=-%h/.config/wheelcellar/environment
Restart=on-failure
RestartSec=2
# 2: the configuration is wrong, and stays so until somebody changes it.
RestartPreventExitStatus=2
TimeoutStopSec=20
UMask=0022
NoNewPrivileges=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# Refused calls fail instead of ending the process: Node raises its limit of open files by setrlimit.
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
`;
}

/** An argument in double quotes, with what systemd would expand doubled (systemd.service, "Command lines"). */
function quoted(argument: string): string {
  if (/[\n\r\0]/.test(argument))
    throw new RangeError('A path in a unit must not hold a line break.');
  const escaped = argument.replace(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$');
  return `"${escaped}"`;
}
