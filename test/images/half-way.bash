#!/bin/bash
#
# The hooks of the element pypi, run by diskimage-builder's own dib-run-parts in a
# chroot, and killed at each step in turn. Prints a line for each way to die: what
# was done, and whether all settings files are then what they were before.
#
# half-way.bash BASE_TARBALL ELEMENT DIB_RUN_PARTS FOLDER
# Expects namespaces of its own for mounts and processes.
set -eu
set -o pipefail

base=$1 element=$2 dib_run_parts=$3 root=$4/root hooks=$4/hooks
killers=$root/opt/killers

mkdir -p "$root" "$hooks"
tar -C "$root" --numeric-owner -xf "$base"
cp -r "$element/." "$hooks/"
cp "$dib_run_parts" "$hooks/"
mkdir "$root/tmp/in_target.d"
mount --bind "$hooks" "$root/tmp/in_target.d"
mount --bind /dev "$root/dev"

# Files with odd bytes, modes, owners and times; a link; a file of another user.
mkdir -p "$root/root/.pip" "$root/root/.config/pip" "$root/etc/xdg/pip" "$root/home/user/.pip"
printf '[global]\nindex-url = http://own.test/\r\n\xff no newline' > "$root/etc/pip.conf"
printf '' > "$root/root/.pip/pip.conf"
ln -s ../../pip.conf "$root/etc/xdg/pip/pip.conf"
printf '[install]\nuser = yes\n' > "$root/root/.config/pip/pip.conf"
printf '[easy_install]\n' > "$root/root/.pydistutils.cfg"
printf '[global]\ntimeout = 3\n' > "$root/home/user/.pip/pip.conf"
echo 'user:x:1000:1000::/home/user:/bin/bash' >> "$root/etc/passwd"
chown -R 1000:1000 "$root/home/user"
chown 33:34 "$root/etc/pip.conf"
chmod 0600 "$root/etc/pip.conf"
chmod 0444 "$root/home/user/.pip/pip.conf"
touch -d '2001-02-03 04:05:06.789' "$root/etc/pip.conf" "$root/home/user/.pip/pip.conf"

# Programs that count, and kill the hook that calls them when its time has come.
mkdir -p "$killers"
for program in mv rm mkdir rmdir; do
    cat > "$killers/$program" << SCRIPT
#!/bin/bash
read -r left < /opt/killers/left
echo \$((left - 1)) > /opt/killers/left
if [ "\$left" = 1 ]; then
    kill -KILL \$PPID
    exit 1
fi
exec /bin/$program "\$@"
SCRIPT
    chmod +x "$killers/$program"
done

settings() {
    (
        cd "$root"
        find etc root home -printf '%p %y %m %U:%G %l\n' | sort
        find etc root home -type f -printf '%p %T@\n' | sort
        find etc root home -type f -exec sha256sum '{}' + | sort
    )
}

# run_phase PHASE STEPS: run a phase, and die at that step; 0 is never.
run_phase() {
    echo "$2" > "$killers/left"
    chroot "$root" env -i HOME=/root DIB_PYPI_DISTUTILS=1 DIB_NO_PYPI_PIP=1 \
        DIB_PYPI_MIRROR_URL=http://127.0.0.1:9/ \
        PATH=/opt/killers:/usr/sbin:/usr/bin:/sbin:/bin \
        /tmp/in_target.d/dib-run-parts "/tmp/in_target.d/$1" > "$root/opt/log" 2>&1
}

before=$(settings)
told() {
    local now
    now=$(settings)
    if [ "$now" = "$before" ]; then
        echo "same: $1"
    else
        echo "DIFFERENT: $1"
        diff <(echo "$before") <(echo "$now") || true
        # Whatever comes after would differ in the same way.
        exit 0
    fi
}

run_phase pre-install.d 0
grep -q 127.0.0.1:9 "$root/etc/pip.conf" "$root/root/.pip/pip.conf" "$root/root/.pydistutils.cfg"
run_phase post-install.d 0
told 'whole build'

step=1
until run_phase pre-install.d "$step"; do
    # Somebody builds once more on what is left.
    run_phase pre-install.d 0
    run_phase post-install.d 0
    told "died at step $step of pre-install.d, built again"
    step=$((step + 1))
done
for ((dead = 2; dead < step; dead += 4)); do
    ! run_phase pre-install.d "$dead"
    run_phase post-install.d 0
    told "died at step $dead of pre-install.d, put back"
done

step=1
while run_phase pre-install.d 0 && ! run_phase post-install.d "$step"; do
    run_phase pre-install.d 0
    run_phase post-install.d 0
    told "died at step $step of post-install.d, built again"
    step=$((step + 4))
done
