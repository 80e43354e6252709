#!/usr/bin/env bash
# boot.sh PACKAGE INSIDE REPORT: boots a throw-away copy of this machine with a systemd of its own, runs the script
# INSIDE there as root with the Debian package PACKAGE at /root/milaan.deb, and copies what that wrote to REPORT.
# Run it as root in a mount namespace of its own: everything it changes is in memory and goes with the namespace.
# It ends with 77 where this machine can't do that.
set -euo pipefail
package=$1 inside=$2 report=$3

place=$(mktemp -d /tmp/milaan-boot.XXXXXX)
mount -t tmpfs tmpfs "$place" || exit 77
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" "$place/root" || exit 77
root=$place/root

# Only the test runs there, beside systemd's own: no service of this machine starts a second time.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/milaan "$root"/var/lib/milaan
cp "$package" "$root/root/milaan.deb"
install -m 755 "$inside" "$root/root/inside"
cat >"$root/etc/systemd/system/inside.service" <<'UNIT'
[Unit]
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'exec /root/inside >/root/report 2>&1'
TimeoutStartSec=100s
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../inside.service "$root/etc/systemd/system/multi-user.target.wants/inside.service"

timeout --kill-after=5 120 systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe \
  --link-journal=no -D "$root" --boot systemd.unit=multi-user.target </dev/null >"$place/console" 2>&1 || true
if [[ ! -s $root/root/report ]]; then
  cat "$place/console" >&2
  exit 77
fi
cp "$root/root/report" "$report"
