#!/usr/bin/env bash
# Tests and measures the GPU path and trains the tables there, in pieces of under 9 minutes.
#
# On a machine with a network and the records (writes gpu/, about 55 MB):
#   benchmarks/gpu_session.sh pack
# On the GPU machine (PyTorch and scientific Python installed, no network), in a copy of the
# working tree with gpu/ in it, one piece after another; each can be run again:
#   benchmarks/gpu_session.sh check    # CUDA tests: graphs against plain steps
#   benchmarks/gpu_session.sh speed    # the yardstick, all networks; or in pieces, such as
#                                      # speed --networks coupled --name training-cuda-coupled
#   benchmarks/gpu_session.sh jobs     # trials at once, 1 to 16 processes
#   MPS=1 benchmarks/gpu_session.sh jobs   # the same under NVIDIA's Multi-Process Service
#   JOBS=8 benchmarks/gpu_session.sh tables   # paper budget, 10 seeds; continues each time;
#                                             # with MPS=1 where that was faster
# Reports, results, tables and the study are written to $OUT (default gpu/out).
# To continue on another machine, put the study.db of $OUT into gpu/ before `tables`.
set -euo pipefail
cd "$(dirname "$0")/.."

GPU=$PWD/gpu
OUT=${OUT:-$GPU/out}
PYTHON=${PYTHON:-python3}
PYTHON_VERSION=${PYTHON_VERSION:-3.12}
DEVICE=${DEVICE:-cuda}
SECONDS_PER_PIECE=${SECONDS_PER_PIECE:-530}
MPS=${MPS:-}
# What a machine with PyTorch and scientific Python lacks.
PACKAGES=(alembic bottle colorlog greenlet mako optuna optuna-dashboard plotly sqlalchemy)

pack() {
  local python=${1:-.venv/bin/python}
  mkdir -p "$GPU/wheels"
  "$python" -m ecg prepare --output "$GPU/beats.npz"
  "$python" -m pip download --quiet --no-deps --only-binary :all: --python-version "$PYTHON_VERSION" \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
    --dest "$GPU/wheels" "${PACKAGES[@]}"
  du -sh "$GPU"
}

# A virtual environment that sees the machine's own packages; made once.
environment() {
  mkdir -p "$OUT"
  if [ ! -e "$GPU/venv/ready" ]; then
    "$PYTHON" -m venv --system-site-packages "$GPU/venv"
    # A Python that is itself in a virtual environment passes on only its base's packages.
    "$PYTHON" -c 'import site; print("\n".join(site.getsitepackages()))' \
      >"$(echo "$GPU"/venv/lib/python3*/site-packages)/machine.pth"
    "$GPU/venv/bin/python" -m pip install --quiet --no-index --no-deps "$GPU"/wheels/*.whl
    touch "$GPU/venv/ready"
  fi
  if [ -n "$MPS" ]; then
    CUDA_MPS_PIPE_DIRECTORY=$(mktemp -d) && export CUDA_MPS_PIPE_DIRECTORY
    export CUDA_MPS_LOG_DIRECTORY=$CUDA_MPS_PIPE_DIRECTORY
    nvidia-cuda-mps-control -d
    trap 'echo quit | nvidia-cuda-mps-control' EXIT
  fi
  run() { timeout -k 30 "$SECONDS_PER_PIECE" "$GPU/venv/bin/python" -m "$@"; }
  export ECG_DATA=$GPU/beats.npz ECG_CACHE=$GPU/cache
}

check() {
  run pytest -q -rs -p no:cacheprovider tests/ecg/training 2>&1 | tee "$OUT/check.txt"
}

yardstick() { run benchmarks.training --device "$DEVICE" --out "$OUT" "$@"; }

speed() { yardstick --peers ours-plain plain "$@"; }

jobs_at_once() {
  yardstick --networks coupled --repeats 3 --precisions tf32 --peers \
    --name "training-cuda-jobs${MPS:+-mps}" --jobs 1 2 4 8 16
}

tables() {
  local storage=sqlite:///$GPU/work/study.db
  mkdir -p "$GPU/work"
  [ -e "$GPU/work/study.db" ] || [ ! -e "$GPU/study.db" ] || cp "$GPU/study.db" "$GPU/work/"
  # When the time is up, running trials are requeued and resume from their checkpoints.
  run study run --space tables --split intra-patient --seeds 10 --budget paper \
    --device "$DEVICE" --jobs "${JOBS:-8}" --checkpoint-every 10 --storage "$storage" || [ $? = 124 ]
  run study export-results --storage "$storage" --output "$OUT/tables"
  run study export-tables --storage "$storage" --output "$OUT/tables"
  "$GPU/venv/bin/python" - "$GPU/work/study.db" "$OUT/study.db" <<'END'
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as study, sqlite3.connect(sys.argv[2]) as copy:
    study.backup(copy)
END
}

piece=${1:-}
case $piece in
pack) shift && pack "$@" ;;
check | speed | tables) environment && "$piece" "${@:2}" ;;
jobs) environment && jobs_at_once ;;
*) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0" && exit 2 ;;
esac
