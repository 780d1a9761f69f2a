#!/bin/sh
# dpkg calls this with "purge" to remove what the service left.
set -e
if [ "$1" = purge ]; then
	rm -rf /var/cache/segpull /var/cache/private/segpull
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
