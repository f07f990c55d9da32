#!/bin/sh
# SPDX-License-Identifier: MIT
# The unit is correct and closed: systemd-analyze verify without a word, and an exposure of at most
# 1.5 of 10 (systemd-analyze security).   unit_test.sh SYSTEMD_FOLDER BITNETD BITNETCTL
set -eu

folder=$(cd "$1" && pwd)
bitnetd=$2
bitnetctl=$3

if ! command -v systemd-analyze >/dev/null 2>&1; then
    echo "SKIPPED: systemd-analyze is not installed"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# verify looks whether the programs exist: here they stand in the build folder.
sed -e "s#/usr/sbin/bitnetd#$bitnetd#" -e "s#/usr/bin/bitnetctl#$bitnetctl#" \
    -e '/^Documentation=/d' -e 's/^User=.*/User=root/' -e 's/^Group=.*/Group=root/' \
    "$folder/bitnetd.service" >"$work/bitnetd.service"
systemd-analyze verify --man=no "$work/bitnetd.service" 2>"$work/complaints" || {
    cat "$work/complaints"
    exit 1
}
# A container without a running systemd adds complaints about the machine's own units.
if grep bitnetd "$work/complaints"; then
    echo "FAILED: systemd-analyze verify complains"
    exit 1
fi

# The shipped unit as it is: threshold 15 is an exposure of 1.5.
systemd-analyze security --offline=yes --threshold=15 --no-pager "$folder/bitnetd.service" \
    >"$work/security" 2>&1 || {
    cat "$work/security"
    echo "FAILED: exposure above 1.5"
    exit 1
}
tail -n 1 "$work/security"

# What the daemon depends on, by the words of the unit.
for line in Type=notify WatchdogSec= StateDirectory=bitnetd RuntimeDirectory=bitnetd \
    RestrictAddressFamilies=AF_UNIX PrivateNetwork=yes MemoryDenyWriteExecute=yes MemoryMax=; do
    grep -q "^$line" "$folder/bitnetd.service" || {
        echo "FAILED: the unit has no $line"
        exit 1
    }
done

if command -v systemd-sysusers >/dev/null 2>&1; then
    mkdir -p "$work/root/etc"
    systemd-sysusers --root="$work/root" "$folder/sysusers.d/bitnetd.conf"
    grep -q '^bitnetd:' "$work/root/etc/passwd"
    grep -q '^bitnetd:' "$work/root/etc/group"
fi
echo "ok"
