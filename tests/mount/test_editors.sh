#!/bin/bash
# Every way to save a job spec triggers exactly once, with the right text, and never on a temporary, swap or backup file.
. "$(dirname "$0")/mount_library.sh"

spec=$work/good.yaml
printf 'dataset: datasets/x\n' >"$spec" # 20 bytes

cp_triggers_once() {
    cp "$spec" "$lab/jobs/cp.yaml"
    expect_events "settled jobs/cp.yaml 20"
}

cp_with_attributes_triggers_once() {
    cp -a "$spec" "$lab/jobs/cpa.yaml"
    expect_events "settled jobs/cpa.yaml 20"
}

cp_over_an_existing_spec_triggers_once() {
    cp "$spec" "$lab/jobs/again.yaml"
    expect_events "settled jobs/again.yaml 20"
    : >"$log"
    printf 'dataset: datasets/other\n' >"$work/other.yaml"
    cp "$work/other.yaml" "$lab/jobs/again.yaml"
    expect_events "settled jobs/again.yaml 24"
}

mv_from_outside_triggers_once() {
    cp "$spec" "$work/moved.yaml"
    mv "$work/moved.yaml" "$lab/jobs/moved.yaml"
    expect_events "settled jobs/moved.yaml 20"
}

mv_inside_triggers_once() {
    cp "$spec" "$lab/datasets/inner.yaml"
    expect_events ""
    mv "$lab/datasets/inner.yaml" "$lab/jobs/inner.yaml"
    expect_events "settled jobs/inner.yaml 20"
}

install_triggers_once() {
    install -m 644 "$spec" "$lab/jobs/install.yaml"
    expect_events "settled jobs/install.yaml 20"
}

rsync_triggers_once() {
    command -v rsync >/dev/null || { echo "    (no rsync here)"; return 0; }
    cp "$spec" "$work/rsync.yaml"
    rsync -a "$work/rsync.yaml" "$lab/jobs/"
    expect_events "settled jobs/rsync.yaml 20"
    printf 'x: 1\n' >>"$work/rsync.yaml"
    : >"$log"
    rsync -a "$work/rsync.yaml" "$lab/jobs/"
    expect_events "settled jobs/rsync.yaml 25"
    : >"$log"
    printf 'y: 1\n' >>"$work/rsync.yaml"
    rsync --inplace "$work/rsync.yaml" "$lab/jobs/"
    expect_events "settled jobs/rsync.yaml 30"
}

sed_in_place_triggers_once() {
    cp "$spec" "$lab/jobs/sed.yaml"
    expect_events "settled jobs/sed.yaml 20"
    : >"$log"
    sed -i 's/x$/longer/' "$lab/jobs/sed.yaml"
    expect_events "settled jobs/sed.yaml 25"
}

shell_redirection_triggers_once() {
    echo "dataset: d" >"$lab/jobs/shell.yaml"
    expect_events "settled jobs/shell.yaml 11"
    : >"$log"
    cat "$spec" >>"$lab/jobs/shell.yaml"
    expect_events "settled jobs/shell.yaml 31"
    : >"$log"
    tee "$lab/jobs/shell.yaml" <"$spec" >/dev/null
    expect_events "settled jobs/shell.yaml 20"
}

python_open_triggers_once() {
    python3 -c 'import sys; open(sys.argv[1], "w").write("dataset: py\n")' "$lab/jobs/py.yaml"
    expect_events "settled jobs/py.yaml 12"
}

dd_triggers_once() {
    dd if="$spec" of="$lab/jobs/dd.yaml" bs=7 status=none
    expect_events "settled jobs/dd.yaml 20"
}

vim_triggers_once_and_leaves_nothing_beside() {
    command -v vim >/dev/null || { echo "    (no vim here)"; return 0; }
    # A swap file from the start, backups, and an fsync: what a person's vim does.
    vim -es -N -u NONE -c 'set backup writebackup swapfile fsync' -c 'call setline(1, "dataset: vim")' \
        -c wq "$lab/jobs/vim.yaml" </dev/null
    expect_events "settled jobs/vim.yaml 13"
    : >"$log"
    vim -es -N -u NONE -c 'set writebackup swapfile' -c 's/vim/vim again/' -c w -c 's/again/more/' -c wq \
        "$lab/jobs/vim.yaml" </dev/null
    expect_events "settled jobs/vim.yaml 19
settled jobs/vim.yaml 18"
    same "dataset: vim more" "$(cat "$lab/jobs/vim.yaml")"
    same "" "$(ls -A "$lab/jobs" | grep -E 'swp|swx|^4913' || true)"
}

emacs_triggers_once() {
    command -v emacs >/dev/null || { echo "    (no emacs here)"; return 0; }
    cp "$spec" "$lab/jobs/emacs.yaml"
    expect_events "settled jobs/emacs.yaml 20"
    : >"$log"
    emacs --batch -Q --eval "(progn (setq create-lockfiles t) (find-file \"$lab/jobs/emacs.yaml\")
        (goto-char (point-max)) (insert \"x: 1\n\") (do-auto-save t) (save-buffer))" >/dev/null 2>&1
    expect_events "settled jobs/emacs.yaml 25"
    same "" "$(ls -A "$lab/jobs" | grep '#' || true)"
}

nano_triggers_once() {
    command -v nano >/dev/null || { echo "    (no nano here)"; return 0; }
    python3 "$here/type_into.py" nano "$lab/jobs/nano.yaml" 'dataset: nano' '\x0f' '\r' '\x18'
    expect_events "settled jobs/nano.yaml 14"
}

jupyter_saves_trigger_once() {
    python3 "$here/save_like_jupyter.py" "$lab/jobs/jupyter.yaml" "dataset: j1" # a new file
    expect_events "settled jobs/jupyter.yaml 11"
    : >"$log"
    python3 "$here/save_like_jupyter.py" "$lab/jobs/jupyter.yaml" "dataset: jupyter" # an existing one
    expect_events "settled jobs/jupyter.yaml 16"
    same "dataset: jupyter" "$(cat "$lab/jobs/jupyter.yaml")"
}

a_desktop_editor_that_renames_triggers_once() {
    # gedit, kate, VS Code with "atomic save": write beside, fsync, rename over.
    cp "$spec" "$lab/jobs/.goutputstream-ABC"
    mv "$lab/jobs/.goutputstream-ABC" "$lab/jobs/desktop.yaml"
    expect_events "settled jobs/desktop.yaml 20"
}

a_bad_spec_makes_cp_exit_1_and_is_kept() {
    echo "this is bad" >"$work/bad.yaml"
    local status=0
    cp "$work/bad.yaml" "$lab/jobs/bad.yaml" 2>"$work/words" || status=$?
    same 1 $status
    same "this is bad" "$(cat "$lab/jobs/bad.yaml")"
    expect_events "refused jobs/bad.yaml"
    grep -q 'jobs/bad.yaml' "$lab/lab/last-error"
    grep -q 'write something better' "$lab/lab/last-error"
}

removing_a_spec_is_seen_and_removing_its_backup_is_not() {
    cp "$spec" "$lab/jobs/gone.yaml"
    cp "$spec" "$lab/jobs/gone.yaml~"
    expect_events "settled jobs/gone.yaml 20"
    rm "$lab/jobs/gone.yaml~" "$lab/jobs/gone.yaml"
    expect_events "settled jobs/gone.yaml 20
removed jobs/gone.yaml"
}

start_server "$lab" || exit 1
run_tests cp_triggers_once cp_with_attributes_triggers_once cp_over_an_existing_spec_triggers_once \
    mv_from_outside_triggers_once mv_inside_triggers_once install_triggers_once rsync_triggers_once \
    sed_in_place_triggers_once shell_redirection_triggers_once python_open_triggers_once dd_triggers_once \
    vim_triggers_once_and_leaves_nothing_beside emacs_triggers_once nano_triggers_once jupyter_saves_trigger_once \
    a_desktop_editor_that_renames_triggers_once a_bad_spec_makes_cp_exit_1_and_is_kept \
    removing_a_spec_is_seen_and_removing_its_backup_is_not
finish
