# Help, errors and exit statuses, without any lab.
source "$(dirname "$0")/cli.sh"

check "no command is wrong usage" expect_status 2 "$cytofs"
check "an unknown command is wrong usage" expect_status 2 "$cytofs" frobnicate
check "it is named" grep -q 'there is no command "frobnicate"' "$work/err"
check "a mistyped one, too" expect_status 2 "$cytofs" moutn
check "with the one that was meant" grep -q "did you mean mount?" "$work/err"
check "the overview is a success when asked for" expect_status 0 "$cytofs" --help
commands=$(sed -n 's/^  \([a-z-]*\) .*/\1/p' "$work/out")
check "all commands are listed" [ "$(echo "$commands" | wc -l)" -ge 12 ]
for command in $commands; do
    check "$command --help" expect_status 0 "$cytofs" "$command" --help
    check "$command help names its usage" grep -q "^usage: cytofs $command" "$work/out"
    check "help $command is the same" expect_status 0 "$cytofs" help "$command"
    check "$command refuses an unknown option" expect_status 2 "$cytofs" "$command" --no-such-option
    check "$command has a manual page" [ -f "$(dirname "$0")/../../tools/man/cytofs-$command.1.scd" ]
done

check "version prints JSON" expect_status 0 "$cytofs" version --json
check "which parses" python3 -c 'import json,sys; v=json.load(open(sys.argv[1])); assert v["devices"]' "$work/out"
check "a number out of range is wrong usage" expect_status 2 "$cytofs" train x --output y --batch 100000
check "a missing value is wrong usage" expect_status 2 "$cytofs" train x --output
check "a missing dataset is refused" expect_status 1 "$cytofs" train "$work/nothing" --output "$work/o"
check "and named" grep -q "$work/nothing" "$work/err"
check "a missing store is refused" expect_status 1 "$cytofs" mount "$work/nothing" "$lab"
check "init makes a store" expect_status 0 "$cytofs" init "$work/store"
check "the key is private" [ "$(stat -c %a "$XDG_CONFIG_HOME"/cytofs/keys/*.key)" = 600 ]
check "init twice is refused" expect_status 1 "$cytofs" init "$work/store"
check "a fresh store is whole" expect_status 0 "$cytofs" fsck "$work/store"
check "submit outside a lab is refused" expect_status 1 "$cytofs" submit x.yaml
check "and says how to name one" grep -q -- '--lab' "$work/err"
check "a key behind a passphrase" env CYTOFS_PASSPHRASE=secret "$cytofs" init --passphrase "$work/store2"
check "opens with it" env CYTOFS_PASSPHRASE=secret "$cytofs" fsck "$work/store2"
check "and not with another" expect_status 1 env CYTOFS_PASSPHRASE=wrong "$cytofs" fsck "$work/store2"
