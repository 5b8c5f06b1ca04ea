#!/bin/sh
# Builds the image of the chip for QEMU's Cortex-M7: build.sh IMAGE.elf
set -eu
here=$(cd "$(dirname "$0")" && pwd)
core="$here/../../core"
hash=${HWL_SOURCE_HASH:-unknown}
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

flags="-mcpu=cortex-m7 -mthumb -mfloat-abi=hard -mfpu=fpv5-d16 -std=c11 -O3 -ffp-contract=off -ffreestanding
    -fno-math-errno -fno-trapping-math -ffunction-sections -fdata-sections -Wall -Wextra -Wconversion -Werror"
for source in "$core"/*.c "$here"/*.c; do
    own=""
    [ "$(basename "$source")" != memory.c ] || own="-fno-builtin -fno-tree-loop-distribute-patterns"
    # $flags and $own are lists of words.
    # shellcheck disable=SC2086
    arm-none-eabi-gcc $flags $own -DHWL_SOURCE_HASH="\"$hash\"" -I "$here/include" -I "$core" \
        -c "$source" -o "$objects/$(basename "$source").o"
done
# shellcheck disable=SC2086
arm-none-eabi-gcc $flags -nostdlib -T "$here/chip.ld" -Wl,--gc-sections "$objects"/*.o -lgcc -o "$1"
