#!/usr/bin/env bash
# Runs a program of this repository with the libtorch of an installed PyTorch: a way to a GPU where TorchSharp's CUDA packages are not to
# be had. Linux. The program must be built without a libtorch of its own:
#
#     dotnet publish benchmarks/StorySync.Benchmarks -c Release -r linux-x64 --self-contained false -p:TorchBackend=none -o /tmp/app
#     bash eng/run-with-pytorch.sh /tmp/app/StorySync.Benchmarks.dll device-check
#
# usage: run-with-pytorch.sh [--count] PROGRAM.dll [ARGUMENT …]
#   --count   counts the program's calls of the CUDA runtime (device-check's part trips); needs a C compiler
# Environment: PYTHON (python3), DOTNET (dotnet).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
fail() { echo "run-with-pytorch: $*" >&2; exit 2; }
count=false
if [ "${1:-}" = --count ]; then count=true; shift; fi
[ $# -gt 0 ] || fail "name a program: run-with-pytorch.sh [--count] PROGRAM.dll [ARGUMENT …]"
program="$1"; shift
[ -f "$program" ] || fail "$program is not there; build it as the head of this script says"
folder="$(cd "$(dirname "$program")" && pwd)"
[ -z "$(find "$folder" -name 'libtorch_cpu.so' -print -quit)" ] || fail "$folder has a libtorch of its own, which would be loaded first; build with -p:TorchBackend=none"

# What is asked of Python is found without importing PyTorch, which takes seconds.
python="${PYTHON:-python3}"
found="$("$python" -c '
import importlib.metadata, importlib.util, os
spec = importlib.util.find_spec("torch")
print(importlib.metadata.version("torch"), os.path.dirname(spec.origin))' 2>/dev/null)" || fail "$python has no PyTorch; set PYTHON to one that has"
version="${found%% *}" torch="${found#* }"
case "$version" in
  2.10.*|2.11.*) ;;
  *) fail "PyTorch $version does not fit: TorchSharp 0.107 is built for libtorch 2.10, which 2.11 still matches (with 2.13 types are read wrongly: 'Single is not compatible with Int8')" ;;
esac

paths="$torch/lib"
for lib in "$torch"/../nvidia/*/lib; do [ -d "$lib" ] && paths="$paths:$lib"; done
export LD_LIBRARY_PATH="$paths${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
if $count; then
  counter="$(mktemp -d)/libcudacount.so"
  trap 'rm -rf "$(dirname "$counter")"' EXIT
  "${CC:-cc}" -shared -fPIC -O1 -o "$counter" "$here/cudacount.c" -ldl || fail "the counting library did not compile; leave --count out"
  STORYSYNC_CUDACOUNT="$counter" LD_PRELOAD="$counter" "${DOTNET:-dotnet}" "$program" "$@"
else
  exec "${DOTNET:-dotnet}" "$program" "$@"
fi
