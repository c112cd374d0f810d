"""Opens a safetensors file and reads every byte with the Python library: the counterpart of the command `safetensors`.

    python safetensors_run.py FILE
"""
import sys
import time

import torch
from safetensors import safe_open

ROUNDS = 5


def private_memory():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty:"))


def main(path):
    torch.ones(1000, 1000).sum()
    for number in range(1, ROUNDS + 1):
        memory = private_memory()
        start = time.perf_counter()
        with safe_open(path, framework="pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]
            opened = time.perf_counter() - start
            taken = private_memory() - memory
            start = time.perf_counter()
            total = sum(tensor.sum().item() for tensor in tensors)
            read = time.perf_counter() - start
        print(f"round {number}: open and get {len(tensors)} tensors {opened * 1e3:.1f} ms, {taken / 1e6:.1f} MB private memory; "
              f"read every byte {read:.3f} s (sum {total:e})")
        del tensors, file


if __name__ == "__main__":
    main(sys.argv[1])
