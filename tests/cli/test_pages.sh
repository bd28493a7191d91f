# The pages for the admin and for the member, walked literally: every indented line of cytofs-admin(7) and cytofs-member(7) is run as it
# stands there, by two users who are not root, on a machine that is called gpu.lab.example (in namespaces of its own).
if [ "${CYTOFS_PAGES_INSIDE:-}" = "" ]; then
    command -v setpriv >/dev/null && command -v ip >/dev/null || { echo "skipped: setpriv or ip is missing"; exit 77; }
    unshare --mount --net true 2>/dev/null || { echo "skipped: there can be no namespaces here"; exit 77; }
    CYTOFS_PAGES_INSIDE=yes exec unshare --mount --net bash "$0" "$@"
fi
source "$(dirname "$0")/cli.sh"
need_mount
pages=$(dirname "$0")/../../tools/man
# Both need names, and must be able to reach the program, wherever it lies, and /dev/fuse, which some containers keep for root.
chmod 755 "$work" && mkdir "$work/bin" && cp "$cytofs" "$work/bin/cytofs" && chmod -R a+rX "$work/bin"
if mknod -m 666 "$work/fuse" c 10 229 2>/dev/null; then mount --bind "$work/fuse" /dev/fuse; fi
printf '127.0.0.1 localhost gpu.lab.example\n' >"$work/hosts" && mount --bind "$work/hosts" /etc/hosts
printf 'root:x:0:0::/root:/bin/sh\nada:x:65001:65001::/:/bin/sh\nbob:x:65002:65002::/:/bin/sh\n' >"$work/passwd" && mount --bind "$work/passwd" /etc/passwd
ip link set lo up && ip addr add 10.73.31.1/24 dev lo
declare -A number=([ada]=65001 [bob]=65002)
for person in ada bob; do
    install -d -m 700 -o ${number[$person]} -g ${number[$person]} "$work/$person" "$work/$person/runtime"
done
as() { # PERSON LINE
    setpriv --reuid "${number[$1]}" --regid "${number[$1]}" --clear-groups env -u XDG_CONFIG_HOME -u XDG_STATE_HOME -u TMPDIR \
        HOME="$work/$1" XDG_RUNTIME_DIR="$work/$1/runtime" PATH="$work/bin:$PATH" timeout 60 bash -c "cd; $2"
}
if ! as bob "test -w /dev/fuse"; then
    echo "skipped: /dev/fuse is closed to others than root"
    exit 77
fi
lines_of() { # PAGE SECTION: the commands of one section
    awk -v section="# $2" '/^# /{inside = $0 == section} inside && (/^\t/ || more) {more = /\+\+$/; sub(/^\t/, ""); sub(/\+\+$/, ""); print}' \
        "$pages/cytofs-$1.7.scd"
}
walk() { # PERSON PAGE SECTION: leaves what the last command said in $work/out
    local line
    [ -n "$(lines_of "$2" "$3")" ] || fail "cytofs-$2(7) has no commands in $3"
    while read -r line <&3; do
        case $line in "cytofs join "*) line=$invitation ;; esac
        check "$1: $line" expect_status 0 as "$1" "$line"
    done 3< <(lines_of "$2" "$3" | sed "s/\<bob\>/${instead:-bob}/")
}
said() { grep -q -- "$1" "$work/out"; }
is_stopped() { ! pgrep -f "cytofs serve $work/ada/lab.store" >/dev/null; }

SECONDS=0
walk ada admin "THE SERVER"
check "the lab is there" as ada "grep -q jobs ~/lab/README"
walk ada admin "THE FIRST MEMBER"
check "one line was printed" [ "$(wc -l <"$work/out")" = 1 ]
invitation=$(cat "$work/out")
sample=$(lines_of member ONCE)
check "it looks like the one on the member's page" [ "$(tr 0-9a-f x <<<"${invitation%.*.*.*.bob}" | tr -s x)" = "$(tr 0-9a-f x <<<"${sample%.*...*.bob}" | tr -s x)" ]
walk bob member ONCE
check "the first member came $SECONDS s after the first command, not ten minutes" [ $SECONDS -lt 600 ]
check "the command that lists members shows it" as ada "cytofs member list ~/lab.store | grep -q bob"
while read -r line <&3; do # what bob does every day; a last look before the last line
    case $line in fusermount3*)
        check "his home is his" as bob "echo mine >~/lab/home/bob/notes"
        check "his role is shown where the page says" as bob "grep -q scientist ~/lab/lab/members/bob"
        check "what he may not change is shown by ls" as bob "! test -w ~/lab/lab/members/ada"
        check "and why the server refused something" as bob "echo 'dataset: none' >~/first.yaml && ! cp ~/first.yaml ~/lab/jobs/ 2>/dev/null && grep -q first.yaml ~/lab/lab/last-error" ;;
    esac
    check "bob: $line" expect_status 0 as bob "$line"
done 3< <(lines_of member "EVERY DAY")
check "bob: mounts again" as bob "cytofs mount bob@gpu.lab.example ~/lab"
walk ada admin "ROLES"
check "the role is seen" wait_for 60 as bob "grep -q steward ~/lab/lab/members/bob"
walk ada admin "QUOTAS"
check "the quotas are told" said bob
check "also where the page says" wait_for 60 as bob "grep -q storage ~/lab/lab/quotas/bob"
walk ada admin "A LOST LAPTOP"
ended() { ! setpriv --reuid "${number[bob]}" --clear-groups timeout 10 ls "$work/bob/lab/datasets" >/dev/null 2>&1; }
check "his mount ends" wait_for 60 ended
fusermount3 -uz "$work/bob/lab" 2>/dev/null
check "his certificate is refused" expect_status 1 as bob "cytofs mount bob@gpu.lab.example ~/lab"

check "ada: fusermount3 -u ~/lab" as ada "fusermount3 -u ~/lab"
pkill -TERM -f "cytofs serve $work/ada/lab.store"
check "SIGTERM ends the server" wait_for 60 is_stopped
instead=carol
walk ada admin "A VPN"
check "both configurations are there, and closed to others" [ "$(stat -c %a "$work/ada/carol.conf" "$work/ada/cytofs-wg.conf" | tr '\n' ' ')" = "600 600 " ]
check "the server is reached through the VPN" as bob "exec 3<>/dev/tcp/10.73.31.1/7331"
check "alone" as bob "! bash -c 'exec 3<>/dev/tcp/127.0.0.1/7331' 2>/dev/null"
pkill -TERM -f "cytofs serve $work/ada/lab.store"
check "the server stops" wait_for 60 is_stopped
check "the store is whole" expect_status 0 as ada "cytofs fsck ~/lab.store"
