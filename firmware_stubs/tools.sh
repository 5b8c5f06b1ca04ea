#!/bin/sh
# Installs from Debian's archive, where it is missing, what builds and tests the C side: a compiler,
# CMake, clang with its sanitizer and fuzzer runtimes, and a compiler and an emulator for Cortex-M.
# Run it as root, or where sudo works. It is quick where all is there.
set -eu

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/probe.c" <<'END'
int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size);
int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size) { return !data && size; }
END

have() {
    command -v "$1" >/dev/null 2>&1
}

# Whether a compiler is there and links with these flags.
links() {
    have "$1" && "$@" "$scratch/probe.c" -o "$scratch/probe" 2>/dev/null
}

missing=""
links gcc -shared -fPIC -fsanitize=address,undefined || missing="$missing build-essential"
have cmake || missing="$missing cmake"
links clang -fsanitize=address,undefined,fuzzer || missing="$missing clang libclang-rt-dev"
have arm-none-eabi-gcc || missing="$missing gcc-arm-none-eabi"
have qemu-system-arm || missing="$missing qemu-system-arm"
[ -n "$missing" ] || exit 0

as_root="env"
[ "$(id -u)" -eq 0 ] || as_root="sudo"
if ! have apt-get || ! have "$as_root"; then
    echo "tools.sh: no apt or no sudo here; please install what these Debian packages hold:$missing" >&2
    exit 0
fi
"$as_root" apt-get update
# $missing is a list of words.
# shellcheck disable=SC2086
"$as_root" DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
