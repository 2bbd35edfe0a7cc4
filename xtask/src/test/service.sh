#!/bin/bash
# The audit's collector as a service of systemd: started, killed, stopped, and read by its journal; and `vs steer`. Runs as root in a Debian,
# with `vs` on PATH and this folder's units beside it.
#
# systemd is the first process of a PID namespace here, as in a system container: the machine's own first process is another. One line a
# check, and at the end `N passed, N failed`.
set -u
export LC_ALL=C
here=$(dirname "$(readlink -f "$0")")
report=/var/tmp/service.report
file=/var/log/vs/audit.jsonl

passes() { echo "ok   $1" >>"$report"; }
fails() { echo "FAIL $1: $2" >>"$report"; }
# Checks that a command succeeds, within ten seconds; what it said last is the reason if not.
check() {
    local what=$1 said
    shift
    for _ in $(seq 50); do
        if said=$("$@" 2>&1); then passes "$what"; return; fi
        sleep 0.2
    done
    fails "$what" "$* said: $said"
}
is_denied() { ! vs run --context shell -- kill -0 "$$" && kill -0 "$$"; }
is_in_journal() { journalctl --quiet --output=json _SYSTEMD_UNIT=vs-audit.service "$@" | grep -q .; }
has() { systemctl show "${3:-vs-audit}" --property="$1" | grep -qx "$1=$2"; }
# Records of a kind in the file, at least so many.
are_in_file() { [ "$(grep -c "\"kind\":\"$1\"" "$file")" -ge "$2" ]; }
is_steered() { vs --json status | grep -q '"steered":true'; }
# A server on ANY, asked at the second address of its context.
answers_at_second() {
    echo asked | socat -u - UDP4-SENDTO:192.0.2.72:7000
    sleep 0.2
    grep -q asked /srv/steered
}
has_followed() { grep -q '"hook":"task_kill"' /run/followed; }

inner() {
    check "it starts before any policy is loaded" has ActiveState active
    check "a policy is loaded" vs load "$here/policy.toml"
    check "a guest is denied" is_denied
    check "the journal has the denial, with its fields" is_in_journal \
        VS_KIND=violation VS_HOOK=task_kill VS_CONTEXT=shell VS_TARGET_CONTEXT=host VS_ERRNO=EPERM VS_MODE=enforce PRIORITY=5
    check "the journal has the load" is_in_journal VS_KIND=load
    check "the file has the denial" are_in_file violation 1

    vs audit follow --json >/run/followed &
    check "a follower is served what the journal has" has_followed
    kill %1

    systemctl kill --signal=KILL vs-audit
    check "a guest is denied while nobody collects" is_denied
    check "killed, it is started again" has NRestarts 1
    check "what happened in between is in the file" are_in_file violation 2
    check "and so is the gap" are_in_file collector-gap 1
    check "and in the journal" is_in_journal VS_KIND=collector-gap

    check "what steers starts" systemctl start vs-steer
    check "vs status says so" is_steered
    vs run --context net -- socat -u UDP4-RECV:7000 OPEN:/srv/steered,creat,append &
    check "a server on ANY has datagrams at the second address of its context" answers_at_second
    systemctl kill --signal=KILL vs-steer
    check "killed, that is started again" has NRestarts 1 vs-steer
    check "and steers" is_steered
    systemctl stop vs-steer

    check "it stops" systemctl stop vs-audit
    check "it says so" are_in_file collector-stop 1
    check "a guest is denied while it is stopped" is_denied
    check "it starts again" systemctl start vs-audit
    check "and writes what happened" are_in_file violation 3
    check "the policy is unloaded" vs unload --stop
    check "and the collector has noticed" are_in_file unload 1
    check "it goes on" has ActiveState active
    echo end >>"$report"
}

outer() {
    : >"$report"
    install -D "$(command -v vs)" /usr/sbin/vs
    install -D -m 644 -t /etc/systemd/system "$here/vs-audit.service" "$here/vs-steer.service"
    printf '[context.shell]\nxid = 101\nproc = "hidepid"\n' >"$here/policy.toml"
    printf '[context.net]\nxid = 102\naddresses = ["192.0.2.71", "192.0.2.72"]\nassign = "lo"\n' >>"$here/policy.toml"
    check "the units are well-formed" systemd-analyze verify vs-audit.service vs-steer.service
    cat >/etc/systemd/system/try.service <<UNIT
[Unit]
After=vs-audit.service
[Service]
ExecStart=/bin/bash $here/service.sh inner
UNIT
    mkdir -p /etc/systemd/system/try.target.wants
    printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' >/etc/systemd/system/try.target
    ln -s ../vs-audit.service ../try.service /etc/systemd/system/try.target.wants/
    systemd-id128 new >/etc/machine-id
    # It mounts its own.
    umount /run /tmp
    unshare --pid --fork --mount --mount-proc \
        env container=other /lib/systemd/systemd --unit=try.target --log-target=null --show-status=no >/dev/null 2>&1 &
    local systemd=$!
    for _ in $(seq 600); do
        if grep -q '^end$' "$report"; then break; fi
        sleep 0.2
    done
    grep -q '^end$' "$report" || fails "systemd" "the service did not come to its end"
    kill -9 $systemd
    wait $systemd 2>/dev/null
    grep -v '^end$' "$report"
    local failed
    failed=$(grep -c '^FAIL ' "$report")
    echo "$(grep -c '^ok ' "$report") passed, $failed failed"
    exit "$((failed > 0))"
}

if [ "${1:-}" = inner ]; then inner; else outer; fi
