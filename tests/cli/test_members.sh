# Two people with computers of their own (two HOMEs) and one store: what each reads, from the mount and from a copy of the store's
# folder; what is left to somebody who was removed; a lab whose only key is lost.
source "$(dirname "$0")/cli.sh"
need_mount
here=$(dirname "$0")
if ! python3 -c 'import sqlite3, cryptography' 2>/dev/null; then
    echo "skipped: python3 with the package \`cryptography\` is missing"
    exit 77
fi
as() { # PERSON command...
    local person=$1
    shift
    env HOME="$work/$person" XDG_CONFIG_HOME="$work/$person/.config" XDG_STATE_HOME="$work/$person/.state" "$@"
}
mount_as() { as "$1" "$cytofs" mount "$work/store" "$lab" >/dev/null; }
key_of() { ls "$work/$1"/.config/cytofs/keys/*.key; }
read_store() { # PERSON STORE PATH OUT
    python3 "$here/read_store.py" "$2" "$(key_of "$1")" "$3" "$4"
}
knows_nothing_of() { # STORE PERSON TEXT...: what the person's keys open, in names and contents, does not hold the texts
    local store=$1 person=$2
    shift 2
    python3 "$here/read_store.py" "$store" "$(key_of "$person")" --everything >"$work/opened" || return 1
    for text in "$@"; do
        if grep -qaF "$text" "$work/opened"; then echo "\"$text\" was opened" >&2; return 1; fi
    done
}
mkdir -p "$work/ada" "$work/bob" "$work/eve"

check "ada makes a lab" expect_status 0 as ada "$cytofs" init --member ada --recovery "$work/paper" "$work/store"
check "the recovery key lies where she wanted it" [ "$(stat -c %a "$work/paper")" = 600 ]
check "and has 5 groups" grep -Eq '^([0-9A-HJKMNP-TV-Z]{8}-){4}[0-9A-HJKMNP-TV-Z]{8}$' "$work/paper"
check "bob makes a key" expect_status 0 as bob "$cytofs" member key --name bob "$work/bob.card"
fingerprint=$(sed -n 's/^fingerprint  *//p' "$work/out")
check "the card shows the same fingerprint" grep -q "$fingerprint" "$work/bob.card"
check "and no secret" bash -c "! grep -qf <(sed -n 's/^secret //p' '$(key_of bob)') '$work/bob.card'"
check "bob is no member yet" expect_status 1 as bob "$cytofs" mount "$work/store" "$lab"

check "ada mounts" mount_as ada
mkdir "$lab/datasets/cells" && echo 'seen by all' >"$lab/datasets/cells/shared text"
echo 'nobody else reads this diary' >"$lab/home/ada/private name"
check "a home is hers alone" [ "$(stat -c %a "$lab/home/ada")" = 700 ]
check "a damaged card is refused" bash -c "! sed 's/^public 0/public 1/;t;s/^public ./public 0/' '$work/bob.card' >'$lab/lab/members/bob' 2>/dev/null"
check "in words" grep -q 'card is damaged' "$lab/lab/last-error"
check "and adds nobody" test ! -e "$lab/lab/members/bob"
check "adding with the wrong fingerprint is refused" expect_status 1 as ada "$cytofs" member add "$lab" "$work/bob.card" --fingerprint "0000 0000"
check "a member is added by a file" cp "$work/bob.card" "$lab/lab/members/bob"
cat "$lab/lab/members/bob"
check "who can be looked at" grep -q "$fingerprint" "$lab/lab/members/bob"
check "twice is refused" bash -c "! cp '$work/bob.card' '$lab/lab/members/bob2' 2>/dev/null"
cat "$lab/lab/spaces/cells"
check "the dataset is everyone's" grep -q '^readers *everyone.* ada recovery bob' "$lab/lab/spaces/cells"
check "the home is not" grep -q '^readers *these members: ada recovery$' "$lab/lab/spaces/home-ada"
check "unmount" unmount_lab

check "bob mounts with his key" mount_as bob
check "reads what is shared" grep -q 'seen by all' "$lab/datasets/cells/shared text"
check "sees that there is a home" test -d "$lab/home/ada"
check "is refused there" bash -c "! ls '$lab/home/ada' 2>'$work/err' && grep -q 'Permission denied' '$work/err'"
check "with the reason" grep -q 'home/ada.*was not shared with you' "$lab/lab/last-error"
check "cannot write there" bash -c "! echo x >'$lab/home/ada/x' 2>/dev/null"
check "cannot remove it" bash -c "! rmdir '$lab/home/ada' 2>/dev/null && test -d '$lab/home/ada'"
check "listing all of the lab works around it" bash -c "ls -lR '$lab' >/dev/null 2>&1; find '$lab' -path '$lab/home/ada' -prune -o -print >/dev/null"
echo "bob's own notes" >"$lab/home/bob/notes"
printf 'dataset: home/ada\nrun: "true"\n' >"$work/steal.yaml"
bash -c "cp '$work/steal.yaml' '$lab/jobs/steal.yaml'" 2>/dev/null
check "a job on a space that one cannot read does not run" bash -c "! test -e '$lab/jobs/steal/status'"
cat "$lab/jobs/steal.error"
check "unmount" unmount_lab
check "fsck passes over what bob cannot read, and says so" expect_status 0 as bob "$cytofs" fsck "$work/store"
cat "$work/out"
check "with a number" grep -q 'not checked' "$work/out"

cp -r "$work/store" "$work/stolen"
check "another program reads the shared dataset with bob's key" expect_status 0 read_store bob "$work/stolen" datasets/cells "$work/found"
check "whole" grep -q 'seen by all' "$work/found/shared text"
check "and nothing at all of ada's home" knows_nothing_of "$work/stolen" bob 'private name' 'nobody else reads this diary'
check "while ada's key opens it" bash -c "! python3 '$here/read_store.py' '$work/stolen' '$(key_of ada)' --everything | grep -qaF \"bob's own notes\""
check "with her diary" expect_status 0 read_store ada "$work/stolen" home/ada "$work/diary"
check "in it" grep -q diary "$work/diary/private name"

check "ada mounts again" mount_as ada
check "unsharing with nobody is refused" expect_status 1 as ada "$cytofs" unshare "$lab" datasets/cells nobody
check "by that name" grep -q nobody "$work/err"
check "unshares" bash -c "echo unshare bob >'$lab/lab/spaces/cells'"
echo 'written after bob was gone' >"$lab/datasets/cells/later text"
rotated() { ! grep -q rotation "$lab/lab/spaces/cells"; }
check "the rotation ends" wait_for 120 rotated
cat "$lab/lab/spaces/cells"
check "the generation has changed" grep -q 'generation 2' "$lab/lab/spaces/cells"
check "bob is off the list" bash -c "! grep -q bob '$lab/lab/spaces/cells'"

sum_of() { find "$1" -type f -print0 | sort -z | xargs -0 cat | md5sum; }
mkdir "$lab/datasets/large"
for i in $(seq 1 40); do head -c 1000000 /dev/urandom >"$lab/datasets/large/$i"; done
before=$(sum_of "$lab/datasets/large")
check "unmount" unmount_lab
check "mount" mount_as ada
check "rotate" bash -c "echo rotate >'$lab/lab/spaces/large'"
for kill in 1 2 3; do
    kill -KILL "$(grep -o '[0-9]*' "$work/store/lock")"
    wait_for 60 bash -c "fusermount3 -uz '$lab' 2>/dev/null; ! grep -q ' $lab fuse' /proc/self/mounts"
    check "mount after kill -9 in the middle" mount_as ada
done
large_rotated() { ! grep -q rotation "$lab/lab/spaces/large"; }
check "the rotation goes on and ends" wait_for 120 large_rotated
check "under the key that it began with" grep -q 'generation 2' "$lab/lab/spaces/large"
check "all is there" [ "$(sum_of "$lab/datasets/large")" = "$before" ]
check "unmount" unmount_lab
check "the store is whole" expect_status 0 as ada "$cytofs" fsck "$work/store"
# With all that he ever had: his key, and the wraps of his old copy of the store.
old_keys_open_nothing() {
    python3 "$here/read_store.py" "$work/store" "$(key_of bob)" --everything --wraps-of "$work/stolen" >"$work/opened" || return 1
    ! grep -qaF -e 'seen by all' -e 'shared text' -e 'later text' -e 'after bob was gone' "$work/opened"
}
check "bob's old keys open neither what was written since nor what was there" old_keys_open_nothing
check "and it is still there for ada" expect_status 0 read_store ada "$work/store" datasets/cells "$work/kept"
check "whole" diff <(cat "$work/kept/shared text" "$work/kept/later text") <(printf 'seen by all\nwritten after bob was gone\n')
check "share, in a store that is not mounted" expect_status 0 as ada "$cytofs" share "$work/store" datasets/cells bob
check "bob reads again" expect_status 0 read_store bob "$work/store" datasets/cells "$work/again"
check "nobody can be removed by himself" expect_status 1 as ada "$cytofs" member remove "$work/store" ada
check "bob is removed" expect_status 0 as ada "$cytofs" member remove "$work/store" bob
check "and no longer opens the lab" expect_status 1 as bob "$cytofs" fsck "$work/store"
check "in words" grep -q 'removed from this lab' "$work/err"
check "rotate, and wait" expect_status 0 as ada "$cytofs" rotate --wait "$work/store" lab
check "the store is whole" expect_status 0 as ada "$cytofs" fsck "$work/store"

check "a passphrase" env CYTOFS_NEW_PASSPHRASE=first HOME="$work/ada" "$cytofs" passphrase "$(key_of ada)"
check "is needed from then on" expect_status 1 as ada env CYTOFS_PASSPHRASE=wrong "$cytofs" fsck "$work/store"
check "and opens" expect_status 0 as ada env CYTOFS_PASSPHRASE=first "$cytofs" fsck --quick "$work/store"
check "the only key is lost" rm "$(key_of ada)"
check "and nothing opens the lab" expect_status 1 as ada "$cytofs" fsck "$work/store"
sed 's/-\(.\)/-\1/; s/^\(.\{18\}\)./\1#/' "$work/paper" >"$work/mistyped"
check "a mistyped recovery key is refused" expect_status 1 as ada "$cytofs" recover --from "$work/mistyped" "$work/store"
check "with the number of the group" grep -q 'group 3' "$work/err"
check "one of another lab too" expect_status 1 as ada "$cytofs" recover --from <(echo 00000032-00000064-00000056-0000004F-0000007D) "$work/store"
check "in words" grep -q "none of this lab's" "$work/err"
check "the right one makes a new key" expect_status 0 as ada "$cytofs" recover --from "$work/paper" "$work/store"
check "for ada" grep -q 'you are ada' "$work/out"
check "the store is whole" expect_status 0 as ada "$cytofs" fsck "$work/store"
check "ada mounts with it" mount_as ada
check "the diary is there" grep -q diary "$lab/home/ada/private name"
check "and the dataset" grep -q 'seen by all' "$lab/datasets/cells/shared text"
check "it is her home" bash -c "echo more >'$lab/home/ada/more'"
check "members" expect_status 0 "$cytofs" member list "$lab"
check "bob's home is still there, and closed" bash -c "test -d '$lab/home/bob' && ! ls '$lab/home/bob' 2>/dev/null"
check "a member's own home is not deleted so" expect_status 1 "$cytofs" member delete-home "$lab" ada
check "in words" grep -q 'home of a member' "$work/err"
check "that of who was removed is" expect_status 0 "$cytofs" member delete-home "$lab" bob
home_is_gone() { ! test -e "$lab/home/bob"; }
check "it is gone" wait_for 60 home_is_gone
check "and its space" test ! -e "$lab/lab/spaces/home-bob"
check "another recovery key" expect_status 0 "$cytofs" recovery-key --recovery "$work/paper2" "$lab"
check "that only she may read" [ "$(stat -c %a "$work/paper2")" = 600 ]
check "is another one" bash -c "! cmp -s '$work/paper' '$work/paper2'"
check "and is on the list" grep -q '^readers .* recovery' "$lab/lab/spaces/home-ada"
check "unmount" unmount_lab
check "a third, in a store that is not mounted" expect_status 0 as ada "$cytofs" recovery-key "$work/store"
sed -n 's/^new recovery key: //p' "$work/out" >"$work/paper3"
check "is printed" grep -Eq '^([0-9A-HJKMNP-TV-Z]{8}-){4}[0-9A-HJKMNP-TV-Z]{8}$' "$work/paper3"
check "the store is whole" expect_status 0 as ada "$cytofs" fsck "$work/store"
check "the only key is lost again" rm "$(key_of ada)"
for old in paper paper2; do
    check "a replaced recovery key opens nothing" expect_status 1 as ada "$cytofs" recover --from "$work/$old" "$work/store"
    check "in words" grep -q "none of this lab's" "$work/err"
done
check "the newest one does" expect_status 0 as ada "$cytofs" recover --from "$work/paper3" "$work/store"
check "ada mounts" mount_as ada
check "the diary is there" grep -q diary "$lab/home/ada/private name"
check "unmount" unmount_lab
