#!/bin/sh
# What the package promises, tried under a real systemd. Each line of the report that begins with "ok" or "not ok" is
# a check; "done" is the last.
say() { printf '# %s\n' "$*"; }

check() { # NAME COMMAND...: the command must succeed
	name=$1 && shift
	if "$@" >/root/check 2>&1; then echo "ok $name"; else
		echo "not ok $name"
		sed 's/^/  /' /root/check
	fi
}
fails() { ! "$@"; }
mode() { [ "$(stat -c '%a %U:%G' "$1")" = "$2" ]; }
wait_ready() {
	for _ in $(seq 100); do
		[ "$(curl -s http://127.0.0.1:9090/readyz)" = ready ] && return
		sleep 0.2
	done
	return 1
}
milaan_as_operator() { (cd / && runuser -u milaan -- milaan "$@" --config /etc/milaan/milaan.toml); }
confined() { # the running process has a system call filter, and can gain nothing
	status=/proc/$(systemctl show milaan -p MainPID --value)/status
	grep -q '^Seccomp:.*2$' "$status" && grep -q '^NoNewPrivs:.*1$' "$status" && grep -q '^CapBnd:.*0000000000000400$' "$status"
}
reads_only_its_own() { # the process sees neither homes nor a writable system
	fails nsenter -t "$(systemctl show milaan -p MainPID --value)" -m -- sh -c 'touch /usr/x 2>/dev/null || touch /etc/x 2>/dev/null || [ -n "$(ls /root)" ]'
}

say installing
check 'it installs' dpkg -i /root/milaan.deb
check 'it is not started before its settings were read' fails systemctl is-active --quiet milaan
check 'nor is it after a boot' fails systemctl is-enabled --quiet milaan
check 'its key is its group'"'"'s alone' mode /etc/milaan/secret.key '640 root:milaan'
check 'so are its settings' mode /etc/milaan/milaan.toml '640 root:milaan'
check 'its books are its own' mode /var/lib/milaan '700 milaan:milaan'
check 'the key is a fresh one' sh -c '[ "$(base64 -d </etc/milaan/secret.key | wc -c)" = 32 ] && ! dpkg-deb -c /root/milaan.deb | grep -q secret'
cp /etc/milaan/secret.key /root/key
check 'its manual is there' sh -c 'man -w milaan && man milaan | grep -q postbacks'
check 'bash completes it' bash -c 'source /usr/share/bash-completion/completions/milaan && complete -p milaan && [ "$(COMP_LINE="milaan vers" milaan)" = version ]'

say starting
check 'systemd finds nothing wrong with the unit' systemd-analyze verify milaan.service
check 'the unit is confined, by systemd'"'"'s own measure below 2.0 of 10' systemd-analyze security --no-pager --threshold=20 milaan.service
check 'it starts' systemctl start milaan
check 'it gets ready' wait_ready
check 'the process is confined' confined
check 'it sees no homes and writes nothing but its state' reads_only_its_own
check 'it answers on its address' sh -c 'curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1:8080/v3/ | grep -qx "40[14]"'
check 'its books are in its place' test -s /var/lib/milaan/milaan.db
check 'no way in is in the journal' sh -c '! journalctl -u milaan | grep -q console/link'
check 'its operator adds an owner beside it' milaan_as_operator user add owner@example.com --role owner
check 'its operator verifies the books beside it' milaan_as_operator verify
check 'a container'"'"'s health check answers' milaan_as_operator health

say upgrading
before=$(systemctl show milaan -p MainPID --value)
check 'it installs again, over itself' dpkg -i /root/milaan.deb
check 'it was started anew' sh -c "[ $before != \$(systemctl show milaan -p MainPID --value) ]"
check 'it gets ready again' wait_ready
check 'its key is the same' cmp /root/key /etc/milaan/secret.key

say stopping
check 'it stops' systemctl stop milaan
check 'it stopped cleanly' sh -c '[ "$(systemctl show milaan -p Result --value)" = success ]'
systemctl start milaan

say purging
check 'it is removed' dpkg -r milaan
check 'it runs no more' fails systemctl is-active --quiet milaan
check 'it is purged' dpkg -P milaan
check 'program, unit and settings are gone' sh -c '! ls /usr/bin/milaan /usr/lib/systemd/system/milaan.service /etc/milaan/milaan.toml'
check 'the books and their key are left' test -s /var/lib/milaan/milaan.db -a -s /etc/milaan/secret.key
check 'installed again it opens them' sh -c 'dpkg -i /root/milaan.deb && systemctl start milaan'
check 'and gets ready' wait_ready
journalctl --no-pager -u milaan | tail -n 30 | sed 's/^/# /'
echo done
