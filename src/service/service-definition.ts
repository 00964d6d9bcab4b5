/** What a service manager is told to run. */
export interface ServiceDefinition {
  /** Absolute path of the Node executable. */
  readonly nodePath: string;
  /** Absolute path of `bin/wheelcellar.js`. */
  readonly binPath: string;
  /** What follows `serve`; paths among them absolute. */
  readonly flags: readonly string[];
}

/** Stands in every file that we write for a service manager: only such files are replaced or removed. */
export const OWN_MARK = 'Written by "wheelcellar service install"';

/** The command line of the server, ready to be quoted. */
export function commandLine(service: ServiceDefinition): readonly string[] {
  return [service.nodePath, service.binPath, 'serve', ...service.flags];
}
