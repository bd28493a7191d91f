# Several users of one machine (a JupyterHub host), through the server's UNIX socket: the kernel says who asks, lab/users which member that is; an
# unlisted one is refused in words. And quotas as such members meet them. Needs root, to become other users.
if [ "$(id -u)" != 0 ]; then
    echo "skipped: only root can become other users"
    exit 77
fi
if ! command -v setpriv >/dev/null || ! unshare --mount true 2>/dev/null; then
    echo "skipped: no setpriv, or there can be no mount namespace here"
    exit 77
fi
if [ -z "${CYTOFS_OWN_FUSE:-}" ]; then
    # /dev/fuse may be root's alone: in a mount namespace of our own another device file stands in its place.
    device=$(mktemp -d /tmp/cytofs-users-XXXXXX)
    trap 'rm -rf "$device"' EXIT
    mknod -m 666 "$device/fuse" c 10 229 2>/dev/null
    CYTOFS_OWN_FUSE=yes unshare --mount bash -c 'mount --bind "$1" /dev/fuse 2>/dev/null; shift; exec bash "$@"' - "$device/fuse" "$0" "$@"
    exit
fi
source "$(dirname "$0")/cli.sh"
need_mount
bob=$(id -u games 2>/dev/null) eve=$(id -u nobody 2>/dev/null) mallory=$(id -u mail 2>/dev/null) # users that have nothing of their own
if [ -z "$bob" ] || [ -z "$eve" ] || [ -z "$mallory" ]; then
    echo "skipped: the users games, nobody and mail are not here"
    exit 77
fi
cp "$cytofs" "$work/cytofs" && cytofs=$work/cytofs
chmod 711 "$work"
as() { # UID command...
    local user=$1
    shift
    setpriv --reuid "$user" --regid "$user" --clear-groups env -u CYTOFS_KEY HOME="$work/$user" XDG_CONFIG_HOME="$work/$user/.config" \
        XDG_STATE_HOME="$work/$user/.state" XDG_CACHE_HOME="$work/$user/.cache" XDG_RUNTIME_DIR="$work/$user/run" "$@"
}
for user in $bob $eve $mallory; do
    mkdir -p "$work/$user"/{lab,run,.config}
    chown -R "$user:$user" "$work/$user"
done
mount_as() { as "$1" timeout 60 "$cytofs" mount "$work/socket" "$work/$1/lab"; }
server() { grep -o '[0-9]*' "$work/store/lock"; }
is_stopped() { ! pgrep -f "$cytofs serve $work/store" >/dev/null; }
stop_server() { kill -TERM "$(server)" && wait_for 60 is_stopped; }

check "ada makes a lab" expect_status 0 "$cytofs" init --member ada "$work/store"
for person in "bob $bob" "eve $eve"; do
    read -r name user <<<"$person"
    check "$name makes a key" expect_status 0 as "$user" "$cytofs" member key --name "$name" "$work/$user/card"
    check "ada adds $name" expect_status 0 "$cytofs" member add "$work/store" "$work/$user/card" --name "$name"
done
check "the server listens at a socket, and nowhere else" expect_status 0 "$cytofs" serve "$work/store" --socket "$work/socket" --no-node
check "nobody listed: the socket refuses bob" expect_status 1 mount_as $bob
check "ada mounts: who runs the server is its member" expect_status 0 "$cytofs" mount "$work/socket" "$lab"
check "she lists them, by number and by login" bash -c "printf '%s\n' '$bob bob' 'nobody eve' >'$lab/lab/users'"
check "so it says" grep -qx 'nobody eve' "$lab/lab/users"
check "a member who is none is refused" bash -c "! echo '$mallory mallory' 2>/dev/null >'$lab/lab/users'"

mkdir "$work/nothing"
check "without fusermount3 bob cannot mount" expect_status 1 as $bob PATH="$work/nothing" "$cytofs" mount "$work/socket" "$work/$bob/lab"
check "and is told what to install" grep -q 'fusermount3, by which users mount, is not in PATH: install it (apt install fuse3)' "$work/err"
check "bob mounts" expect_status 0 mount_as $bob
check "eve mounts" expect_status 0 mount_as $eve
check "bob is bob" as $bob grep -q '^Welcome to the lab, bob' "$work/$bob/lab/README"
check "eve is eve" as $eve grep -q '^Welcome to the lab, eve' "$work/$eve/lab/README"
check "bob makes a dataset" as $bob bash -c "mkdir '$work/$bob/lab/datasets/bobs' && echo text >'$work/$bob/lab/datasets/bobs/one'"
check "eve reads it" as $eve grep -q text "$work/$eve/lab/datasets/bobs/one"
check "and does not write it" as $eve bash -c "! touch '$work/$eve/lab/datasets/bobs/two' 2>/dev/null"
check "neither may list users" as $bob bash -c "! echo '$mallory bob' 2>/dev/null >'$work/$bob/lab/lab/users'"
check "bob's mount is bob's alone" as $eve bash -c "! ls '$work/$bob/lab' 2>/dev/null"
check "an unlisted user is refused" expect_status 1 mount_as $mallory
check "in words" grep -q "user $mallory of this machine is no member here (an admin writes into lab/users" "$work/err"
check "the audit log knows them" bash -c "grep -q 'bob session' '$lab/lab/audit' && grep -q 'eve session' '$lab/lab/audit'"

check "bob's quota is a command" expect_status 0 "$cytofs" quota "$lab" bob storage=1M jobs=1
check "and a file" bash -c "echo gpus=1 >'$lab/lab/quotas/bob'"
check "a mistake is refused in words" expect_status 1 "$cytofs" quota "$lab" bob cows=7
check "which name it" grep -q '"cows=7" is not understood' "$work/err"
"$cytofs" quota "$lab" bob
check "it shows what is used" bash -c "'$cytofs' quota '$lab' bob | grep -q '^storage *1.0 MiB; used: 5 bytes '"
check "and all members" bash -c "'$cytofs' quota '$lab' | grep -qx everyone"
check "bob sees his" as $bob grep -q '^jobs *1 waiting or running' "$work/$bob/lab/lab/quotas/bob"
check "and no other's" as $bob bash -c "! cat '$work/$bob/lab/lab/quotas/eve' 2>/dev/null && [ \"\$(ls '$work/$bob/lab/lab/quotas')\" = bob ]"
check "he cannot change it" as $bob bash -c "! echo storage=none 2>/dev/null >'$work/$bob/lab/lab/quotas/bob'"
too_much() { as $bob bash -c "head -c 3M /dev/zero >'$work/$bob/lab/datasets/bobs/large'" 2>"$work/err"; [ $? != 0 ]; }
check "he can store no more" too_much
check "and is told why" grep -q 'Disk quota exceeded' "$work/err"
check "with the limit in lab/last-error" as $bob grep -q "bob's files may have 1.0 MiB in all" "$work/$bob/lab/lab/last-error"
check "df shows it" as $bob bash -c "[ \"\$(df -B1M --output=size '$work/$bob/lab' | tail -n 1 | tr -d ' ')\" = 1 ]"
check "eve has none" as $eve bash -c "mkdir '$work/$eve/lab/datasets/eves' && head -c 3M /dev/zero >'$work/$eve/lab/datasets/eves/large'"
check "bob makes room" as $bob rm -f "$work/$bob/lab/datasets/bobs/large"
check "and stores what fits" as $bob bash -c "head -c 500000 /dev/zero >'$work/$bob/lab/datasets/bobs/small'"

check "bob is taken off the list" bash -c "echo '$bob -' >'$lab/lab/users'"
as $bob fusermount3 -u "$work/$bob/lab"
check "and refused from then on" expect_status 1 mount_as $bob
as $eve fusermount3 -u "$work/$eve/lab"
fusermount3 -u "$lab"
check "the server stops" stop_server
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"
check "and remembers the quota" bash -c "'$cytofs' quota '$work/store' bob | grep -q '^gpus *1 at once'"
