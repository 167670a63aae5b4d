#!/bin/sh
# Short runs on a small model to choose the optimizer, its rate and the vocabulary. All read the same
# number of tokens, so that they compare fairly however busy the machine is; two at a time, a core each.
# Then, with --go-on, the long run at the better setting, until it is stopped.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python}
export OMP_WAIT_POLICY=passive

short() { # name, millions of tokens, options
    name=$1 tokens=$2
    shift 2
    "$python" train.py --name "sweep-$name" --layers 4 --width 256 --heads 4 --warm-up 30 --threads 1 \
        --tokens "$tokens" --decay-tokens 0.25 --measure-every 50 --held-out 128 "$@"
}

short muon-3e-3 0.8 --optimizer muon --rate 3e-3 &
short adamw-3e-3 0.8 --optimizer adamw --rate 3e-3
wait
short muon-6e-3 0.8 --optimizer muon --rate 6e-3 &
short adamw-1e-3 0.8 --optimizer adamw --rate 1e-3
wait
short muon-1.5e-3 0.8 --optimizer muon --rate 1.5e-3 &
# As much text as 0.8 million tokens of the larger vocabulary hold; it costs the target about as much time.
short muon-3e-3-v4096 0.875 --optimizer muon --rate 3e-3 --vocabulary 4096
wait

best=$("$python" best.py)
echo "best: $best"
if [ "${1:-}" = --go-on ]; then
    # shellcheck disable=SC2086  # the two options are meant to split
    exec "$python" train.py --name storyteller --layers 8 --width 384 --heads 6 $best
fi
