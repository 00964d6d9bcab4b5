import type { ServerResponse } from 'node:http';

/**
 * For answers that take their time. A write after the client has left is no news, though without a
 * listener it would end the process. Silence may be ours (a fill that waits); only what lies unread is the
 * client's: then the connection is broken.
 */
export function careForClient(response: ServerResponse): void {
  response.on('error', () => {});
  response.on('timeout', (socket) => {
    if (socket.writableLength > 0) socket.destroy();
  });
}
