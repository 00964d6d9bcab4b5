/**
 * The innermost part of the sandbox, in Python because a package cannot be built without it and because
 * it can do what Node cannot: bring up the loopback of an empty network, and give up a user for good.
 *
 * Arguments: folder to hand over, uid, gid (both `-` to stay who one is), port and socket of the mirror (both `-`
 * where the network is shared), then the command. In an empty network it forwards 127.0.0.1:port to the
 * socket: there is no way out but the mirror. The environment is thinned to what a compiler needs.
 */
export const SANDBOX_LAUNCHER: string = `
import os, socket, struct, sys, threading
import warnings  # os.execvpe imports it when the build user may not read it any more

folder, uid, gid, port, path = sys.argv[1:6]
command = sys.argv[6:]

KEPT = {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "CC", "CXX", "CPP", "AR", "LD", "FC", "CFLAGS", "CXXFLAGS",
        "CPPFLAGS", "LDFLAGS", "PKG_CONFIG_PATH", "MAKEFLAGS", "SOURCE_DATE_EPOCH", "NO_COLOR", "SSL_CERT_FILE"}
environment = {name: value for name, value in os.environ.items()
               if name in KEPT or name.startswith(("PIP_", "UV_", "PBR_", "SETUPTOOLS_SCM_"))}


def loopback_up():
    import fcntl
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # SIOCSIFFLAGS with IFF_UP | IFF_RUNNING
        fcntl.ioctl(probe, 0x8914, struct.pack("16sh14x", b"lo", 0x41))


def pump(source, target):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(listener):
    while True:
        client, _ = listener.accept()
        mirror = socket.socket(socket.AF_UNIX)
        try:
            mirror.connect(path)
        except OSError:
            client.close()
            continue
        for pair in ((client, mirror), (mirror, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def hand_over(root):
    os.chown(root, int(uid), int(gid))
    for parent, folders, files in os.walk(root):
        for name in folders + files:
            os.chown(os.path.join(parent, name), int(uid), int(gid), follow_symlinks=False)


try:
    # Now: the build user may not read this interpreter's folder.
    import ctypes
    libc = ctypes.CDLL(None)
except (ImportError, OSError):
    libc = None
if uid != "-":
    hand_over(folder)
listener = None
if port != "-":
    loopback_up()
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=128)
child = os.fork()
if child == 0:
    if listener is not None:
        listener.close()
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    os.umask(0o022)
    if hasattr(libc, "prctl"):
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        sys.stderr.write("%s: %s\\n" % (command[0], error))
        os._exit(127)
if listener is not None:
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
_, status = os.waitpid(child, 0)
sys.stdout.flush()
os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
`;
