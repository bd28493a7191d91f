#!/bin/bash
# The programs that scientists live in: databases, notebooks, HDF5, virtual environments, archives, version control.
. "$(dirname "$0")/mount_library.sh"

have() { command -v "$1" >/dev/null || { echo "    (no $1 here)"; return 1; }; }
have_module() { python3 -c "import $1" 2>/dev/null || { echo "    (no $1 for Python here)"; return 1; }; }

sqlite_survives_several_processes_and_a_killed_one_in_every_journal_mode() {
    have_module sqlite3 || return 0
    local mode
    for mode in wal delete truncate persist; do
        timeout 100 python3 "$here/use_sqlite.py" $mode "$lab/datasets/$mode.bank"
    done
}

sqlite_processes_on_two_mounts_keep_to_each_others_locks() {
    have_module sqlite3 || return 0
    timeout 100 python3 "$here/use_sqlite.py" delete "$lab/datasets/two.bank" "$lab2/datasets/two.bank"
}

git_pushes_merges_and_packs() {
    have git || return 0
    export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
    local here=$lab/datasets i
    git init -q --bare "$here/origin.git"
    git clone -q "$here/origin.git" "$here/one" 2>/dev/null
    cd "$here/one"
    for i in $(seq 40); do mkdir -p "d$((i % 5))"; head -c $((i * 500)) /dev/urandom >"d$((i % 5))/f$i"; done
    git add . && git commit -q -m all && git push -q origin HEAD
    git clone -q "file://$here/origin.git" "$here/two"
    (cd "$here/two" && echo theirs >their && git add . && git commit -q -m theirs && git push -q origin HEAD)
    echo ours >our && git add . && git commit -q -m ours
    git pull -q --no-rebase --no-edit
    git push -q origin HEAD
    git worktree add -q "$here/three" -b side
    git gc -q --aggressive --prune=now
    git repack -q -a -d
    git fsck --strict --no-progress
    git --git-dir="$here/origin.git" gc -q
    git --git-dir="$here/origin.git" fsck --strict --no-progress
    same "" "$(git status --porcelain)"
    same theirs "$(cat "$here/three/their")"
}

# A package of one module, made by hand: nothing is fetched.
make_wheel() {
    python3 - "$1" <<'PYTHON'
import base64, hashlib, sys, zipfile
files = {"counting.py": "def main():\n    print('3 cells')\n",
         "counting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n",
         "counting-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
         "counting-1.0.dist-info/entry_points.txt": "[console_scripts]\ncount-cells = counting:main\n"}
record = "".join("%s,sha256=%s,%d\n" % (name, base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("="), len(text))
                 for name, text in files.items())
files["counting-1.0.dist-info/RECORD"] = record + "counting-1.0.dist-info/RECORD,,\n"
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
PYTHON
}

pip_installs_into_an_environment_on_the_mount() {
    have_module venv || return 0
    have_module ensurepip || return 0
    make_wheel "$work/counting-1.0-py3-none-any.whl"
    python3 -m venv "$lab/datasets/environment"
    "$lab/datasets/environment/bin/pip" -q --disable-pip-version-check install --no-index "$work/counting-1.0-py3-none-any.whl"
    same "3 cells" "$("$lab/datasets/environment/bin/count-cells")"
    "$lab/datasets/environment/bin/pip" -q --disable-pip-version-check uninstall -y counting
    fails test -e "$lab/datasets/environment/bin/count-cells"
}

a_notebook_runs_on_the_mount_and_keeps_its_results() {
    have_module nbconvert || return 0
    have_module ipykernel || return 0
    mkdir "$lab/datasets/notebooks"
    cat >"$lab/datasets/notebooks/count.ipynb" <<'JSON'
{"cells": [{"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source":
  ["import os\n", "open('result.txt', 'w').write('42 cells')\n", "print(open('result.txt').read(), len(os.listdir('.')))"]}],
 "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}
JSON
    (cd "$lab/datasets/notebooks" && HOME=$work JUPYTER_RUNTIME_DIR=$work/runtime IPYTHONDIR=$work/ipython \
        timeout 120 python3 -m nbconvert --to notebook --execute --inplace count.ipynb >"$work/nbconvert" 2>&1) \
        || { tail -n 5 "$work/nbconvert"; return 1; }
    grep -q '42 cells 2' "$lab/datasets/notebooks/count.ipynb"
    same "42 cells" "$(cat "$lab/datasets/notebooks/result.txt")"
}

hdf5_files_are_written_reopened_locked_and_followed() {
    have_module h5py || return 0
    timeout 100 python3 - "$lab/datasets/images.h5" <<'PYTHON'
import subprocess, sys
import h5py, numpy as np
path = sys.argv[1]
images = np.random.default_rng(1).integers(0, 4096, (40, 128, 128), dtype=np.uint16)
with h5py.File(path, "w") as file:
    file.create_dataset("images", data=images, maxshape=(None, 128, 128), chunks=(1, 128, 128), compression="gzip")
    file["images"].attrs["stain"] = "DAPI"
    other = subprocess.run([sys.executable, "-c", "import h5py, sys; h5py.File(sys.argv[1], 'r+')", path], capture_output=True, text=True)
    assert other.returncode != 0 and "lock" in other.stderr, other.stderr
with h5py.File(path, "r+") as file:
    file["images"].resize(60, axis=0)
    file["images"][40:] = images[:20]
    file["images"][3] = 7
with h5py.File(path, "r") as file:
    assert (file["images"][40:] == images[:20]).all() and (file["images"][4:40] == images[4:]).all()
    assert (file["images"][3] == 7).all() and file["images"].attrs["stain"] == "DAPI"
# One process writes, another follows (single writer, many readers).
reader = """
import h5py, sys, time
with h5py.File(sys.argv[1], "r", libver="latest", swmr=True) as file:
    print("ready", flush=True)
    until, values = time.monotonic() + 60, file["values"]
    while values.shape[0] < 500 and time.monotonic() < until:
        values.refresh()
    assert list(values[:500]) == list(range(500)), values.shape
"""
with h5py.File(path + ".swmr", "w", libver="latest") as file:
    values = file.create_dataset("values", (0,), maxshape=(None,), dtype="i8", chunks=(64,))
    file.swmr_mode = True
    child = subprocess.Popen([sys.executable, "-c", reader, path + ".swmr"], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    for i in range(500):
        values.resize((i + 1,))
        values[i] = i
        values.flush()
    assert child.wait() == 0
PYTHON
    if have h5diff; then h5diff "$lab/datasets/images.h5" "$lab/datasets/images.h5"; fi
}

zip_and_unzip_give_back_the_same_tree() {
    have zip && have unzip || return 0
    mkdir -p "$lab/datasets/zipped/deep"
    local i
    for i in $(seq 30); do head -c $((i * 3000)) /dev/urandom >"$lab/datasets/zipped/deep/$i"; done
    (cd "$lab/datasets" && zip -q -r zipped.zip zipped && zip -q -d zipped.zip zipped/deep/30 && unzip -q -d back zipped.zip)
    rm "$lab/datasets/zipped/deep/30"
    unzip -tq "$lab/datasets/zipped.zip" >/dev/null
    diff -r "$lab/datasets/zipped" "$lab/datasets/back/zipped"
}

rsync_and_tar_keep_attributes_hard_links_and_holes() {
    have rsync || return 0
    have setfattr || return 0
    local from=$lab/datasets/attributed
    mkdir -p "$from/deep"
    echo text >"$from/deep/file"
    ln "$from/deep/file" "$from/deep/same"
    setfattr -n user.stain -v DAPI "$from/deep/file"
    setfattr -n user.plate -v 7 "$from/deep"
    truncate -s 50M "$from/holes"
    printf end >>"$from/holes"
    touch -d '2001-02-03 04:05:06.123456789' "$from/deep/file"
    rsync -aXH --sparse "$from/" "$lab/datasets/synced/"
    same "" "$(rsync -aXH --itemize-changes "$from/" "$lab/datasets/synced/")"
    tar -C "$from" --xattrs --sparse -cf "$work/attributed.tar" .
    [ "$(stat -c %s "$work/attributed.tar")" -lt 1000000 ] || fail "tar stored the holes"
    mkdir "$lab/datasets/untarred"
    tar -C "$lab/datasets/untarred" --xattrs -xf "$work/attributed.tar"
    local copy
    for copy in synced untarred; do
        same DAPI "$(getfattr --only-values -n user.stain "$lab/datasets/$copy/deep/file")"
        same 7 "$(getfattr --only-values -n user.plate "$lab/datasets/$copy/deep")"
        same 2 "$(stat -c %h "$lab/datasets/$copy/deep/file")"
        same 981173106.123456789 "$(stat -c %.9Y "$lab/datasets/$copy/deep/same")"
        cmp "$from/holes" "$lab/datasets/$copy/holes"
    done
}

start_server "$lab" "$lab2" || exit 1
run_tests sqlite_survives_several_processes_and_a_killed_one_in_every_journal_mode \
    sqlite_processes_on_two_mounts_keep_to_each_others_locks git_pushes_merges_and_packs \
    pip_installs_into_an_environment_on_the_mount a_notebook_runs_on_the_mount_and_keeps_its_results \
    hdf5_files_are_written_reopened_locked_and_followed zip_and_unzip_give_back_the_same_tree \
    rsync_and_tar_keep_attributes_hard_links_and_holes
finish
