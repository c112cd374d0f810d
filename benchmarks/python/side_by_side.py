"""Runs two benchmark commands in turn, A B A B …, and prints the medians and the median of the ratios A / B.

    python side_by_side.py [--rounds N] -- COMMAND A -- COMMAND B

Each command's last line is JSON with "seconds" and "peak_rss_mb". The rest of the machine should be idle.
"""
import argparse
import json
import statistics
import subprocess
import sys


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def split(words):
    first = words.index("--")
    second = words.index("--", first + 1)
    return words[:first], words[first + 1:second], words[second + 1:]


def main():
    options, ours, theirs = split(sys.argv[1:])
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args(options).rounds
    pairs = [(run(ours), run(theirs)) for _ in range(rounds)]
    for key in ("seconds", "peak_rss_mb"):
        a, b = ([result[key] for result in side] for side in zip(*pairs))
        ratios = [x / y for x, y in zip(a, b)]
        print(f"{key:12} {statistics.median(a):10.3f} / {statistics.median(b):10.3f} = {statistics.median(ratios):.3f}"
              f"   ({min(ratios):.3f} to {max(ratios):.3f}, {rounds} rounds)", flush=True)


main()
