#!/bin/sh
# Fuzzes the chip, an hour unless told otherwise: run.sh TARGET [SECONDS] [CORPUS]; TARGET is stream or messages.
# It begins with the inputs of corpus/TARGET.txt, one in hexadecimal digits per line.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
core="$here/../core"
target=$1
seconds=${2:-3600}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
corpus=${3:-$work/corpus}
mkdir -p "$corpus"
python3 - "$here/corpus/$target.txt" "$corpus" <<'END'
import pathlib, sys
for number, line in enumerate(pathlib.Path(sys.argv[1]).read_text().split()):
    pathlib.Path(sys.argv[2], f"known-{number}").write_bytes(bytes.fromhex(line))
END

clang -std=c11 -O1 -g -ffp-contract=off -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    -DHWL_FRAME_BYTES=1024u -DHWL_CACHE_BYTES=4096u -DHWL_CACHE_FRAMES=4u -DHWL_RECEIVE_BYTES=2048u \
    -DHWL_WORK_BYTES=65536u -DHWL_TILES_MAX=2u -DHWL_SHAPES_MAX=4u \
    -I "$core" "$core"/*.c "$here/small_chip.c" "$here/$target.c" -o "$work/fuzz"
cd "$work" # where a finding is written
"$work/fuzz" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 -artifact_prefix="${TMPDIR:-/tmp}/" "$corpus"
