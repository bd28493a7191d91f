# Each way to save a good spec makes exactly one run of a real lab, and no swap, backup or temporary file makes one.
source "$(dirname "$0")/cli.sh"
need_mount
mount_tests=$(dirname "$0")/../mount

runs_of() { ls "$lab/experiments/$1" 2>/dev/null | grep -cE '^[0-9]+$'; }
all_runs() { ls -d "$lab"/experiments/*/[0-9]* 2>/dev/null | wc -l; }
has_runs() { [ "$(runs_of "$1")" = "$2" ] && grep -q . "$lab/experiments/$1/00$2/spec.yaml"; }

# saves JOB N command...: after the command, the job has N runs in all, soon and for good
saves() {
    local job=$1 wanted=$2
    shift 2
    if ! "$@" >"$work/out" 2>&1; then cat "$work/out"; fail "$job: $*"; fi
    wait_for 60 has_runs "$job" "$wanted" || fail "$job: $(runs_of "$job") runs, not $wanted, after: $*"
    expected=$((expected + 1))
    sleep 0.3
    [ "$(all_runs)" = "$expected" ] || fail "$job: a file beside the spec made a run: $(ls "$lab/experiments")"
    echo "ok: $job makes run $wanted"
}

has_program() { command -v "$1" >/dev/null || { echo "skipped: no $1 here"; return 1; }; }
spec() { printf 'run: "true # %s"\n' "$1"; }
type_into_nano() { python3 "$mount_tests/type_into.py" nano "$lab/jobs/nano.yaml" "$1" '\x0f' '\r' '\x18'; }
jupyter_saves() { python3 "$mount_tests/save_like_jupyter.py" "$lab/jobs/jupyter.yaml" "$1"; }
vim_saves() { vim -es -N -u NONE -c "set $1" -c "call setline(1, 'run: \"true # $2\"')" -c wq "$lab/jobs/vim.yaml" </dev/null; }
emacs_saves() {
    emacs --batch -Q --eval "(progn (setq create-lockfiles t) (find-file \"$lab/jobs/emacs.yaml\") (erase-buffer)
        (insert \"run: \\\"true # $1\\\"\n\") (do-auto-save t) (save-buffer))"
}
redirect() { spec "$2" >"$lab/jobs/$1.yaml"; }
python_writes() { python3 -c 'import sys; open(sys.argv[1], "w").write("run: python" + sys.argv[2] + "\n")' "$lab/jobs/python.yaml" "$1"; }

expected=0
check "init" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab --no-node
for n in 1 2 3; do spec "$n" >"$work/spec$n.yaml"; done

saves cp 1 cp "$work/spec1.yaml" "$lab/jobs/cp.yaml"
saves cp 2 cp "$work/spec2.yaml" "$lab/jobs/cp.yaml"
cp "$work/spec1.yaml" "$work/mv.yaml"
saves mv 1 mv "$work/mv.yaml" "$lab/jobs/mv.yaml"
saves redirection 1 redirect redirection 1
saves redirection 2 redirect redirection 2
saves python 1 python_writes 1
saves python 2 python_writes 2
saves redirection 3 sed -i 's/2/3/' "$lab/jobs/redirection.yaml"
saves jupyter 1 jupyter_saves 'run: "true # 1"'
saves jupyter 2 jupyter_saves 'run: "true # 2"'
if has_program rsync; then
    cp "$work/spec1.yaml" "$work/rsync.yaml"
    saves rsync 1 rsync -a "$work/rsync.yaml" "$lab/jobs/"
    spec "a longer one" >"$work/rsync.yaml"
    saves rsync 2 rsync -a "$work/rsync.yaml" "$lab/jobs/"
fi
if has_program vim; then
    saves vim 1 vim_saves "backup writebackup swapfile fsync" 1
    saves vim 2 vim_saves "writebackup swapfile backupcopy=no" 2
    saves vim 3 vim_saves "writebackup swapfile backupcopy=yes" 3
fi
if has_program nano; then
    saves nano 1 type_into_nano 'run: "true # 1"'
    saves nano 2 type_into_nano '# more\r'
fi
if has_program emacs; then
    saves emacs 1 emacs_saves 1
    saves emacs 2 emacs_saves 2
fi
check "the same text again" cp "$lab/jobs/cp/spec.yaml" "$lab/jobs/cp.yaml"
spec 1 >"$lab/jobs/.cp.yaml.swp"
spec 1 >"$lab/jobs/cp.yaml~"
spec 1 >"$lab/jobs/#cp.yaml#"
spec 1 >"$lab/jobs/.#cp.yaml"
sleep 1
check "and files beside specs make no run" [ "$(all_runs)" = "$expected" ]
