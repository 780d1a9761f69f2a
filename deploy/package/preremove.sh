#!/bin/sh
# dpkg calls this with "upgrade" and rpm with 1 before an upgrade.
set -e
case $1 in upgrade | 1) exit ;; esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now segpull.socket segpull.service || true
fi
