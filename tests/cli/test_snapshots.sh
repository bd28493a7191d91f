# Snapshots as a user has them: by label, number and moment, listed, dropped, and immutable in every way.
source "$(dirname "$0")/cli.sh"
need_mount

data=$lab/datasets/cells
snap=$data/.snap
said() { grep -Eq "$1" "$work/out"; }

check "init" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab --no-node
mkdir -p "$data/images"
for i in 1 2 3; do head -c 300000 /dev/urandom >"$data/images/$i.png"; done
ln -s images/1.png "$data/link"
setfattr -n user.stain -v DAPI "$data/images/1.png" 2>/dev/null
cp -a "$data" "$work/then"

check "a snapshot with a label" expect_status 0 "$cytofs" snapshot "$data" v1
check "  tells where" said "/datasets/cells/.snap/v1$"
rm "$data/images/2.png" && echo more >"$data/images/4.png" && echo changed >"$data/images/1.png"
check "a snapshot without one" expect_status 0 "$cytofs" snapshot "$data"
check "  gets one of the moment" said "/.snap/on-$(date +%Y)-"
check "mkdir is the same" mkdir "$snap/v3"
check "the first shows what was there" diff -r "$work/then" "$snap/v1"
check "by number" diff -r "$work/then" "$snap/1"
check "a number is a link to the label" [ "$(readlink "$snap/3")" = v3 ]
check "a day leads to its last one" [ "$(readlink "$snap/$(date +%Y-%m-%d)")" = v3 ]
check "a minute too" [ "$(readlink "$snap/$(date +%Y-%m-%dT%H:%M)")" = v3 ]
check "what was before all of them does not" [ ! -e "$snap/2001-01-01" ]
check "neither is listed" [ "$(ls "$snap" | wc -l)" = 3 ]
check "ls -l of a number is quiet" [ -z "$(ls -l "$snap/2" 2>&1 >/dev/null)" ]
check "a number is no label" expect_status 1 "$cytofs" snapshot "$data" 12
check "  in words" grep -q "can look like a number" "$work/err"
check "a label is taken once" expect_status 1 "$cytofs" snapshot "$data" v1
check "list" expect_status 0 "$cytofs" snapshot --list "$data"
check "  tells number, label, moment, files and bytes" said "^ +1  v1 +$(date +%Y)-[0-9T:-]+ +4 files +0\.9 MB$"
check "  all of them in order" [ "$(awk '{print $1}' "$work/out" | tr '\n' ' ')" = "1 2 3 " ]

# Nothing there changes: each way is refused with EROFS or EPERM.
cat >"$work/change.py" <<'PYTHON'
import errno, mmap, os, sys
snap = sys.argv[1]
file, folder, link = snap + "/images/1.png", snap + "/images", snap + "/link"
outside = os.path.dirname(os.path.dirname(snap)) + "/images/4.png"
ways = {
    "open to write": lambda: os.open(file, os.O_WRONLY),
    "open to read and write": lambda: os.open(file, os.O_RDWR),
    "open to append": lambda: os.open(file, os.O_WRONLY | os.O_APPEND),
    "open and truncate": lambda: os.open(file, os.O_WRONLY | os.O_TRUNC),
    "create": lambda: os.open(folder + "/new", os.O_WRONLY | os.O_CREAT),
    "nameless file": lambda: os.open(folder, os.O_WRONLY | os.O_TMPFILE),
    "truncate": lambda: os.truncate(file, 0),
    "rename away": lambda: os.rename(file, outside + ".moved"),
    "rename within": lambda: os.rename(file, folder + "/other"),
    "rename onto": lambda: os.rename(outside, file),
    "rename the snapshot": lambda: os.rename(snap, snap + "-other"),
    "rename a folder": lambda: os.rename(folder, snap + "/pictures"),
    "hard link in": lambda: os.link(outside, folder + "/linked"),
    "hard link out": lambda: os.link(file, outside + ".linked"),
    "symbolic link": lambda: os.symlink("x", folder + "/symbolic"),
    "unlink": lambda: os.unlink(file),
    "unlink a link": lambda: os.unlink(link),
    "mkdir": lambda: os.mkdir(folder + "/new"),
    "rmdir": lambda: os.rmdir(folder),
    "mknod": lambda: os.mkfifo(folder + "/fifo"),
    "chmod": lambda: os.chmod(file, 0o600),
    "chmod a folder": lambda: os.chmod(folder, 0o700),
    "chmod the snapshot": lambda: os.chmod(snap, 0o700),
    "chown": lambda: os.chown(file, 1, 1),
    "chown a link": lambda: os.lchown(link, 1, 1),
    "utimes": lambda: os.utime(file, (1, 1)),
    "utimes of a folder": lambda: os.utime(folder, (1, 1)),
    "set an attribute": lambda: os.setxattr(file, "user.new", b"x"),
    "remove an attribute": lambda: os.removexattr(file, "user.stain"),
    "set an attribute of a folder": lambda: os.setxattr(folder, "user.new", b"x"),
    "a snapshot in a snapshot": lambda: os.mkdir(snap + "/.snap"),
    "a file beside the snapshots": lambda: os.open(os.path.dirname(snap) + "/file", os.O_WRONLY | os.O_CREAT),
    "write through a read-only handle": lambda: os.write(os.open(file, os.O_RDONLY), b"x"),
    "truncate a read-only handle": lambda: os.ftruncate(os.open(file, os.O_RDONLY), 0),
    "map to write": lambda: mmap.mmap(os.open(file, os.O_RDONLY), 4096, mmap.MAP_SHARED, mmap.PROT_WRITE),
}
wanted = {errno.EROFS, errno.EPERM}
also = {  # what the kernel answers before it asks anybody
    "write through a read-only handle": {errno.EBADF}, "truncate a read-only handle": {errno.EINVAL, errno.EBADF},
    "map to write": {errno.EACCES}, "rmdir": {errno.ENOTEMPTY}, "nameless file": {errno.EOPNOTSUPP},
    "rename away": {errno.EXDEV}, "hard link out": {errno.EXDEV}, "rename onto": {errno.EXDEV},
    "hard link in": {errno.EXDEV},
}
bad = 0
for name, way in ways.items():
    try:
        way()
        print("was possible:", name)
        bad += 1
    except OSError as error:
        if error.errno not in wanted | also.get(name, set()):
            print(name + ":", error)
            bad += 1
sys.exit(bad != 0)
PYTHON
check "a snapshot cannot be changed" python3 "$work/change.py" "$snap/v1"
check "and was not" diff -r "$work/then" "$snap/v1"
check "attributes are those of then" [ "$(getfattr --only-values -n user.stain "$snap/v1/images/1.png" 2>/dev/null)" = \
    "$(getfattr --only-values -n user.stain "$work/then/images/1.png" 2>/dev/null)" ]

check "drop by number" expect_status 0 "$cytofs" snapshot --drop 2 "$data"
check "  it is gone" [ ! -e "$snap/2" ]
check "a number is not given again" expect_status 0 "$cytofs" snapshot "$data" v4
check "  it is the next" [ "$(readlink "$snap/4")" = v4 ]
exec 9<"$snap/v3/images/3.png"
check "one that is being read stays" expect_status 1 "$cytofs" snapshot --drop v3 "$data"
exec 9<&-
check "and goes afterwards" wait_for 60 "$cytofs" snapshot --drop v3 "$data"
check "what is not there cannot be dropped" expect_status 1 "$cytofs" snapshot --drop nothing "$data"
check "a folder that is no dataset has none" expect_status 1 "$cytofs" snapshot "$data/images"
check "unmount" unmount_lab
check "mounted again" mount_lab --no-node
check "numbers are kept" [ "$(readlink "$snap/1") $(readlink "$snap/4")" = "v1 v4" ]
check "unmount" unmount_lab
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"
