#!/usr/bin/env bash
# What needs a GPU of 80 GB, in one go: the full-size model's seconds and memory, then its training steps. Random weights.
#   benchmarks/gpu.sh [PEAK]      the device's dense peak in TFLOP/s in bfloat16 (H100: 989)
set -euo pipefail
cd "$(dirname "$0")/.."
peak=${1:-989}
python benchmarks/record.py gpu_model benchmarks/model.py --preset hawkeye-7b --device cuda --dtype bfloat16 \
  --batches 1 8 32 --peak "$peak"
python benchmarks/record.py gpu_train benchmarks/train.py full --device cuda --batch 8 --peak "$peak"
