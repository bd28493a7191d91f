# People come into a lab that is served, work there from "computers" of their own (HOMEs), and leave: init, serve, member add, join,
# mount NAME@HOST, write, read, revoke; and what a stolen store, a guessed or used invitation, and a revoked certificate are good for.
source "$(dirname "$0")/cli.sh"
need_mount
here=$(dirname "$0")
port=$(PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/../support python3 -c 'import remote_lab; print(remote_lab.free_port())')
host=localhost:$port
as() { # PERSON command...
    local person=$1
    shift
    env HOME="$work/$person" XDG_CONFIG_HOME="$work/$person/.config" XDG_STATE_HOME="$work/$person/.state" \
        XDG_CACHE_HOME="$work/$person/.cache" "$@"
}
mount_at() { as "$1" timeout 60 "$cytofs" mount "$1@$host" "$work/$1/lab" >/dev/null; }
is_away() { ! pgrep -f "mount $1@$host" >/dev/null; }
leave() { fusermount3 -u "$work/$1/lab" && wait_for 60 is_away "$1"; }
serve() { as ada "$cytofs" serve "$work/store" --listen "127.0.0.1:$port" --socket "$work/socket" --no-node --host "$host"; }
server() { grep -o '[0-9]*' "$work/store/lock"; }
is_stopped() { ! pgrep -f "$cytofs serve $work/store" >/dev/null; }
stop_server() { kill -TERM "$(server)" && wait_for 60 is_stopped; }
join_as() { # PERSON LINE, from that person's computer
    read -ra words <<<"$2"
    as "$1" "$cytofs" "${words[@]:1}"
}
mkdir -p "$work"/{ada,bob,carol,eve,mallory}/lab

check "ada makes a lab" expect_status 0 as ada "$cytofs" init --member ada "$work/store"
check "a role that is none is refused" expect_status 1 as ada "$cytofs" member add "$work/store" bob --role king
check "ada invites bob" expect_status 0 as ada "$cytofs" member add "$work/store" bob --role scientist --host "$host"
invitation=$(cat "$work/out")
word=${invitation##* }
check "in one line" [ "$(wc -l <"$work/out")" = 1 ]
check "with a secret of 128 bits and the fingerprint of the lab" bash -c "grep -Eq '^1\.[0-9]+\.[0-9a-f]{32}\.[0-9a-f]{64}\.[0-9a-f]{8}\.bob$' <<<'$word'"
check "bob is listed as invited" bash -c "HOME='$work/ada' XDG_CONFIG_HOME='$work/ada/.config' '$cytofs' member list '$work/store' | grep -q 'has not joined yet, by ada'"
check "the secret is not in the store" bash -c "! grep -rqa '$(cut -d. -f3 <<<"$word")' '$work/store'"
check "inviting a member is refused" expect_status 1 as ada "$cytofs" member add "$work/store" ada
check "the server starts" expect_status 0 serve

check "a mistyped invitation is refused at once" expect_status 1 join_as bob "${invitation/1./1.1}"
check "in words" grep -q 'not a whole invitation' "$work/err"
old=$(python3 - "$word" <<'END'
import hashlib, struct, sys
version, expires, secret, lab, check, name = sys.argv[1].split(".")
raw = hashlib.sha256(b"cytofs invite 1 check\0" + name.encode() + b"\0" + struct.pack("<Q", 1000) + bytes.fromhex(secret + lab)).hexdigest()
print(version, 1000, secret, lab, raw[: len(check)], name, sep=".")
END
)
check "an invitation of long ago is refused" expect_status 1 as bob "$cytofs" join "$host" "$old"
check "and says what to do" grep -q "the invitation has expired: ask for a new one (or is this computer's clock wrong?)" "$work/err"
check "a wrong port is told" expect_status 3 as bob "$cytofs" join localhost:1 "$word"
check "in words" grep -q 'nobody listens at port 1 ' "$work/err"
check "and is no lab that was joined" expect_status 1 as bob "$cytofs" mount bob@localhost:1 "$work/bob/lab"
check "as it says" grep -q 'nobody has joined' "$work/err"
check "bob joins" expect_status 0 join_as bob "$invitation"
check "with his role" grep -q 'bob, a scientist' "$work/out"
profile="$work/bob/.config/cytofs/labs/bob@$host"
check "his keys are his alone" [ "$(stat -c %a "$profile" "$profile/member.key" "$profile/link.key" | sort -u | tr '\n' ' ')" = "600 700 " ]
check "no private key lies in the clear" bash -c "! grep -q 'PRIVATE KEY' '$profile'/*"
check "bob may ask again, if the answer was lost" expect_status 0 join_as bob "$invitation"
check "nobody else may" expect_status 1 join_as eve "$invitation"
check "and is told no more than that" grep -q 'does not know this invitation' "$work/err"
check "nobody mounts without joining" expect_status 1 as eve "$cytofs" mount "eve@$host" "$work/eve/lab"
check "in words" grep -q 'cytofs join' "$work/err"

check "a folder must be there to mount on" expect_status 1 as bob "$cytofs" mount "bob@$host" "$work/bob/nowhere"
check "or is to be made" grep -q "make it first: mkdir $work/bob/nowhere" "$work/err"
check "bob mounts" mount_at bob
check "twice is refused" expect_status 1 as bob "$cytofs" mount "bob@$host" "$work/bob/lab"
check "in one sentence" bash -c "grep -q 'something is mounted there already' '$work/err' && [ \$(wc -l <'$work/err') = 1 ]"
check "he writes at home" bash -c "echo 'nobody else reads this diary' >'$work/bob/lab/home/bob/private name'"
check "and reads it" grep -q diary "$work/bob/lab/home/bob/private name"
check "and a dataset" bash -c "mkdir '$work/bob/lab/datasets/cells' && echo 'seen by all' >'$work/bob/lab/datasets/cells/one'"
check "he may not invite" bash -c "! echo invite admin 2>/dev/null >'$work/bob/lab/lab/members/eve'"
check "nor make himself an admin" bash -c "! echo role admin 2>/dev/null >'$work/bob/lab/lab/members/bob'"
check "nor remove anybody" bash -c "! rm -f '$work/bob/lab/lab/members/ada' 2>/dev/null"

check "ada mounts at the server" bash -c "HOME='$work/ada' '$cytofs' mount '$work/socket' '$work/ada/lab' >/dev/null"
check "she invites by a file" bash -c "echo invite viewer 2 >'$work/ada/lab/lab/members/carol'"
check "and reads the line there" bash -c "head -n 1 '$work/ada/lab/lab/members/carol' | grep -q '^cytofs join $host 1\.'"
invitation=$(head -n 1 "$work/ada/lab/lab/members/carol")
check "which bob cannot" bash -c "! grep -q 'cytofs join' '$work/bob/lab/lab/members/carol'"
check "though he sees that carol is invited" grep -q 'has not joined yet' "$work/bob/lab/lab/members/carol"
check "bob's home is closed to ada, though bob is there" bash -c "! cat '$work/ada/lab/home/bob/private name' 2>/dev/null"
check "an invitation is withdrawn by rm" bash -c "echo invite viewer >'$work/ada/lab/lab/members/dan' && rm '$work/ada/lab/lab/members/dan' && ! test -e '$work/ada/lab/lab/members/dan'"
check "by the command, too" expect_status 0 as ada "$cytofs" member add "$work/ada/lab" mallory --role viewer
guess=$(cat "$work/out")
check "and again" expect_status 0 as ada "$cytofs" member revoke "$work/ada/lab" mallory
check "it is good for nothing then" expect_status 1 join_as mallory "$guess"
check "carol joins" expect_status 0 join_as carol "$invitation"
check "and mounts" mount_at carol
check "she reads what is shared" grep -q 'seen by all' "$work/carol/lab/datasets/cells/one"
check "a viewer writes no dataset" bash -c "! touch '$work/carol/lab/datasets/cells/two' 2>/dev/null"
check "bob's home is closed to carol" bash -c "! ls '$work/carol/lab/home/bob' 2>/dev/null && ! cat '$work/carol/lab/home/bob/private name' 2>/dev/null"
check "her own is open" bash -c "echo mine >'$work/carol/lab/home/carol/notes'"
check "ada makes her a scientist" expect_status 0 as ada "$cytofs" member role "$work/ada/lab" carol scientist
check "and so she makes a dataset at once" mkdir "$work/carol/lab/datasets/carols"
check "and writes none of bob's" bash -c "! touch '$work/carol/lab/datasets/cells/two' 2>/dev/null"
check "the lab keeps an admin" expect_status 1 as ada "$cytofs" member role "$work/ada/lab" ada viewer

check "bob leaves" leave bob
sync_and_copy() { rm -rf "$work/stolen" && cp -r "$work/store" "$work/stolen"; }
check "his home is closed at the server" bash -c "! ls '$work/ada/lab/home/bob' 2>/dev/null"
if python3 -c 'import sqlite3, cryptography' 2>/dev/null; then
    check "somebody steals the store" sync_and_copy
    key=$(ls "$work"/ada/.config/cytofs/keys/*.key)
    python3 "$here/read_store.py" "$work/stolen" "$key" --everything >"$work/opened"
    check "the server's key opens what is shared" grep -qa 'seen by all' "$work/opened"
    check "and nothing of bob's home" bash -c "! grep -qa -e 'private name' -e 'this diary' '$work/opened'"
    check "bob's key does" bash -c "python3 '$here/read_store.py' '$work/stolen' '$profile/member.key' --everything | grep -qa 'this diary'"
fi
check "bob mounts again" mount_at bob
check "his diary is there" grep -q diary "$work/bob/lab/home/bob/private name"

check "the server is killed" kill -KILL "$(server)"
check "and starts again" wait_for 60 expect_status 0 serve
check "bob's mount goes on" wait_for 60 timeout 60 grep -q diary "$work/bob/lab/home/bob/private name"
check "and he writes" wait_for 60 bash -c "echo later >'$work/bob/lab/home/bob/later'"
fusermount3 -uz "$work/ada/lab"
check "ada mounts at the server" bash -c "HOME='$work/ada' '$cytofs' mount '$work/socket' '$work/ada/lab' >/dev/null"

check "ada revokes bob" rm "$work/ada/lab/lab/members/bob"
ended() { ! timeout 10 ls "$work/bob/lab/home/bob" >/dev/null 2>&1; }
check "his mount ends" wait_for 60 ended
fusermount3 -uz "$work/bob/lab" 2>/dev/null
check "his certificate is refused" expect_status 1 as bob timeout 60 "$cytofs" mount "bob@$host" "$work/bob/lab"
check "in words" grep -q 'not a member of this lab' "$work/err"
rotated() { ! grep -q rotation "$work/ada/lab/lab/spaces/cells"; }
check "the dataset gets a new key" wait_for 120 rotated
check "of the second generation" grep -q 'generation 2' "$work/ada/lab/lab/spaces/cells"
check "carol goes on" grep -q 'seen by all' "$work/carol/lab/datasets/cells/one"

check "the audit log has what they did" bash -c "cat '$work/ada/lab/lab/audit' >'$work/log' && grep -q 'carol read datasets/cells/one' '$work/log'"
check "who came, and from where" grep -q 'carol session .* (is here)' "$work/log"
check "whom an admin invited and sent away" grep -q 'people lab/members/bob (is no longer a member)' "$work/log"
check "and what was refused" grep -q 'carol refused .*as a .* you may not' "$work/log"
check "it is not for carol" bash -c "! cat '$work/carol/lab/lab/audit' 2>/dev/null"
check "it is as it was written" expect_status 0 as ada "$cytofs" audit verify "$work/ada/lab"
for person in ada carol; do fusermount3 -u "$work/$person/lab"; done
check "the server stops" stop_server
check "the store is whole" expect_status 0 as ada "$cytofs" fsck "$work/store"
check "so is the audit log" expect_status 0 as ada "$cytofs" audit verify "$work/store"
check "in which nothing can be read without a key" bash -c "! grep -q carol '$work'/store/audit/*"
log=$(ls "$work"/store/audit/*.log | tail -n 1)
sed -i 5d "$log"
check "a line that is taken away is missed" expect_status 1 as ada "$cytofs" audit verify "$work/store"
check "by its number" grep -q 'changed: line 3 is missing' "$work/out"
