# Putting settings files in place of the image's own for the time of the build,
# and back again.
#
#   FILE                     ours, recognised by the section name below
#   FILE.dib-pypi-original   what the image had there; moved, never copied, so
#                            bytes, mode, owner and links stay as they were
#   FOLDER/.dib-pypi-made    the folder did not exist before
#
# The names say all there is to know, so a build that died half-way leaves
# nothing that the next one could mistake.

# A section, not a comment, since "pip config set" drops comments. pip takes no
# notice of sections it does not know.
DIB_PYPI_MARK='[dib-pypi-element]'

dib_pypi_exists() {
    [ -e "$1" ] || [ -L "$1" ]
}

# Ours is never a link. One of the image's own may lead to a file of ours.
dib_pypi_is_ours() {
    [ -f "$1" ] && ! [ -L "$1" ] && grep -qxF "$DIB_PYPI_MARK" "$1"
}

# dib_pypi_replace FILE TEXT: keep the original aside and write TEXT and the mark.
dib_pypi_replace() {
    local file=$1 folder=${1%/*}
    if ! [ -d "$folder" ]; then
        mkdir "$folder"
        : > "$folder/.dib-pypi-made"
    fi
    if dib_pypi_exists "$file" && ! dib_pypi_is_ours "$file" &&
            ! dib_pypi_exists "$file.dib-pypi-original"; then
        mv "$file" "$file.dib-pypi-original"
    fi
    rm -f "$file.dib-pypi-new"
    # Readable by all: hooks also run pip as other users.
    (
        umask 022
        printf '%s\n' "$2" '' "$DIB_PYPI_MARK" \
            'note = written for one image build and removed at its end' > "$file.dib-pypi-new"
    )
    mv -fT "$file.dib-pypi-new" "$file"
}

# dib_pypi_restore FILE: undo that. A file that another hook put in the place
# of ours is meant for the image and stays.
dib_pypi_restore() {
    local file=$1 folder=${1%/*}
    ! dib_pypi_is_ours "$file" || rm -f "$file"
    rm -f "$file.dib-pypi-new"
    if dib_pypi_exists "$file.dib-pypi-original"; then
        if dib_pypi_exists "$file"; then
            echo "pypi: ${file#"$DIB_PYPI_ROOT"} was replaced during the build; keeping the new one"
            rm -f "$file.dib-pypi-original"
        else
            mv -T "$file.dib-pypi-original" "$file"
        fi
    fi
    if [ -e "$folder/.dib-pypi-made" ]; then
        rm -f "$folder/.dib-pypi-made"
        rmdir "$folder" 2> /dev/null ||
            echo "pypi: ${folder#"$DIB_PYPI_ROOT"} stays, since other files were put there"
    fi
}

# Home folders of the image's users, one a line, root's first.
dib_pypi_homes() {
    local home rest
    printf '%s\n' "${HOME:-$DIB_PYPI_ROOT/root}"
    [ -r "$DIB_PYPI_ROOT/etc/passwd" ] || return 0
    while IFS=: read -r _ _ _ _ _ home rest; do
        [[ $home != /?* ]] || printf '%s\n' "$DIB_PYPI_ROOT$home"
    done < "$DIB_PYPI_ROOT/etc/passwd"
}

# Files that are always written: all users, and root for pips that are older
# than the first or for images that have a file here.
dib_pypi_written_files() {
    printf '%s\n' "$DIB_PYPI_ROOT/etc/pip.conf" "${HOME:-$DIB_PYPI_ROOT/root}/.pip/pip.conf"
}

# Files that pip merges with those, key by key; replaced only where there is one.
dib_pypi_shadowed_files() {
    local home
    printf '%s\n' "$DIB_PYPI_ROOT/etc/xdg/pip/pip.conf"
    [ -z "${XDG_CONFIG_HOME:-}" ] ||
        printf '%s\n' "$DIB_PYPI_ROOT$XDG_CONFIG_HOME/pip/pip.conf"
    while IFS= read -r home; do
        printf '%s\n' "$home/.config/pip/pip.conf" "$home/.pip/pip.conf"
    done <<< "$(dib_pypi_homes)"
}

dib_pypi_easy_install_file() {
    printf '%s\n' "${HOME:-$DIB_PYPI_ROOT/root}/.pydistutils.cfg"
}
