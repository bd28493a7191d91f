#!/bin/bash
# The C sources are laid out as clang-format does it (.clang-format); `tests/layout.sh FOLDER --fix` lays them out.  Versions of it differ, hence 14 alone.
cd "${1:?usage: $0 FOLDER [--fix]}" || exit
program=$(command -v clang-format-14) || { echo "skipped: there is no clang-format-14"; exit 77; }
check=(--dry-run -Werror)
[ "${2:-}" = --fix ] && check=(-i)
find fs kernels runner tools tests -name '*.[ch]' -print0 -o -name '*.cu' -print0 -o -name '*.cuh' -print0 | xargs -0 -P "$(nproc)" -n 100 "$program" "${check[@]}"
